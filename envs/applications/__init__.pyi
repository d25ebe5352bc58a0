from .thermal_zone import ThermalZone as ThermalZone
from .warehouse import Warehouse as Warehouse
