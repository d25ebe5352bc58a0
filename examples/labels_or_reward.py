"""One network, told the labels of images or only whether its guesses are right: what does reward alone cost?

python examples/labels_or_reward.py [EPOCHS [SEEDS]]
"""

import sys

import velodrome as vd
from velodrome.agents import NeuralBandit, SimpleCNN
from velodrome.experiments.plotting import trial_figures, write_figure

epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 8
digits = "velodrome/Classification-v0"
agents = {
    "from labels": SimpleCNN(learning_rate=0.003, batch_size=20),
    "from reward": NeuralBandit(network=SimpleCNN(), learning_rate=0.003),
    "chance": "random",
}
results = vd.compare(agents, digits, seeds=seeds, epochs=epochs, name="labels or reward")
columns = ["agent", "letters", "greedy_success_rate_mean", "train_success_rate_mean", "regret_mean"]
print(results.table(full=True)[columns].to_string(index=False))

trial = vd.run(agents["from reward"], digits, epochs=epochs, seed=0)
print(f"test images right: {trial.evaluation.success_rate:.3f} of {trial.evaluation.episodes}")
write_figure(trial_figures(trial, only=["confusion"])["confusion"], "confusion.png")
print("confusion.png")
