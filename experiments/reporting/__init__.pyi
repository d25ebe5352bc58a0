from .report import report_html as report_html, write_report as write_report
from .tables import format_table as format_table
from .verdicts import verdict_lines as verdict_lines, verdicts as verdicts
