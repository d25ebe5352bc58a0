from .ad_server import AdServer as AdServer, ClairvoyantAdServer as ClairvoyantAdServer
from .asset_position import AssetPosition as AssetPosition
from .recommender_session import RecommenderSession as RecommenderSession
from .thermal_zone import ThermalZone as ThermalZone
from .warehouse import Warehouse as Warehouse
