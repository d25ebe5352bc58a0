"""The words of the page that plays."""

from collections.abc import Sequence

from velodrome.experiments.reporting.languages import Words

# Parts that may be hidden, by their names in the address.
PARTS = ("title", "environment", "agents", "show", "settings", "maps", "curves", "player", "live", "keys")
# Keys, and the word that says what each does.
KEYS = (
    ("space", "keyPlay"),
    ("← →", "keyMove"),
    ("Shift ← →", "keyMoveFar"),
    ("Home End", "keyEnds"),
    ("+ -", "keySpeed"),
    ("1 … 9", "keyAgent"),
    ("v a t n m", "keyShow"),
    ("e", "keyEnvironment"),
    ("s", "keySeed"),
    ("d", "keyTheme"),
    ("l", "keyLanguage"),
    ("p", "keyLearn"),
    ("r", "keyRestart"),
    ("h", "keyHidden"),
    ("?", "keyKeys"),
)


def page_words(words: Words) -> dict[str, str]:
    """Texts of the page by the names that its script and its template have for them."""
    return {
        "agents": words("agents"),
        "alpha": words("step size α"),
        "arrows": words("arrows"),
        "asBefore": words("As it was"),
        "back": words("Back"),
        "bestPossible": words("best possible"),
        "cell": words("row {row}, column {column}", row="%r", column="%c"),
        "environment": words("environment"),
        "episode": words("episode"),
        "episodes": words("episodes"),
        "epsilon": words("exploration ε"),
        "firstIndex": words("first index"),
        "forward": words("Forward"),
        "gamma": words("discount γ"),
        "hideHint": words("Hide for a lecture (the address remembers it; h shows what is hidden):"),
        "keyAgent": words("show or hide an agent"),
        "keyEnds": words("first, last episode"),
        "keyEnvironment": words("next environment"),
        "keyHidden": words("show what is hidden, hide it again"),
        "keyKeys": words("this list"),
        "keyLanguage": words("English, Korean"),
        "keyLearn": words("learn, pause in the world to change"),
        "keyMove": words("one snapshot back, forward; in the world to change: choose a cell, w wall, Enter reward"),
        "keyMoveFar": words("ten snapshots back, forward"),
        "keyPlay": words("play, pause"),
        "keyRestart": words("start the learner again"),
        "keySeed": words("next seed"),
        "keyShow": words("values, arrows, triangles, visits, numbers"),
        "keySpeed": words("faster, slower"),
        "keyTheme": words("light, dark"),
        "keys": words("Keys, and what to hide"),
        "lastReturns": words("mean return of the last 100"),
        "learn": words("Learn"),
        "learner": words("learner"),
        "liveCurve": words("Return of the episodes"),
        "notPossible": words("This environment is no grid of cells with rewards: its world cannot be changed here."),
        "numbers": words("numbers"),
        "oneStep": words("One step"),
        "otherLanguage": "한국어" if words.language == "en" else "English",
        "panel": words("map"),
        "partAgents": words("agents"),
        "partCurves": words("curves"),
        "partEnvironment": words("environment"),
        "partKeys": words("keys"),
        "partLive": words("world to change"),
        "partMaps": words("maps"),
        "partPlayer": words("player"),
        "partSettings": words("theme and language"),
        "partShow": words("shown"),
        "partTitle": words("title"),
        "pause": words("Pause"),
        "play": words("Play"),
        "player": words("player"),
        "qLearning": words("Q-learning"),
        "randomTies": words("random"),
        "returnCurve": words("Return in training"),
        "reward": words("reward"),
        "sarsa": words("Sarsa"),
        "seed": words("seed"),
        "show": words("shown"),
        "slip": words("slip"),
        "speed": words("speed"),
        "startAgain": words("Start again"),
        "steps": words("steps"),
        "successCurve": words("Success rate in training"),
        "theme": words("light or dark"),
        "ties": words("ties"),
        "triangles": words("action values"),
        "tryIt": words("Change the world while it learns"),
        "values": words("state values"),
        "visits": words("visits"),
        "wall": words("wall"),
        "worldHint": words("Choose a cell of the map to change its reward or put a wall there."),
    }


def curve_note(words: Words, numbers: Sequence[int]) -> str:
    """What the curves of agents with so many seeds each are, and which seed the maps show first."""
    band = words("Mean over {seeds} in training with its 95 % interval.", seeds=words.seeds(numbers))
    first = words("The maps show one seed, at first the one on which the agents that are shown differ most.")
    return f"{band} {first}" if max(numbers) > 1 else band
