from .watch_page import WatchPage as WatchPage
