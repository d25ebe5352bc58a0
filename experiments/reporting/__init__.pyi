from .playing_page import playing_page_html as playing_page_html, write_playing_page as write_playing_page
from .report import report_html as report_html, write_report as write_report
from .tables import format_table as format_table
from .verdicts import verdict_lines as verdict_lines, verdicts as verdicts
