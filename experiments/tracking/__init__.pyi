from .mlflow_tracker import MLflowTracker as MLflowTracker
from .tensorboard_tracker import TensorBoardTracker as TensorBoardTracker
from .tracker import TrackedTrial as TrackedTrial, Tracker as Tracker, TrackingWarning as TrackingWarning
from .wandb_tracker import WandbTracker as WandbTracker
