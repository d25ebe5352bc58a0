from .ad_server import AdServer as AdServer, ClairvoyantAdServer as ClairvoyantAdServer
from .asset_position import AssetPosition as AssetPosition
from .recommender_session import RecommenderSession as RecommenderSession, least_tired as least_tired
from .thermal_zone import (
    ThermalZone as ThermalZone,
    early_thermostat as early_thermostat,
    thermostat as thermostat,
)
from .warehouse import Warehouse as Warehouse, charge_first as charge_first, shortest_way as shortest_way
