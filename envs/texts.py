"""The texts of the lectures, by name."""

TEXTS = {
    "hello": "hello",
    "hihello": "hihello",
    "if_you_want_you": " if you want you",
    "long_sentence": (
        "if you want to build a ship, don't drum up people together to collect wood and don't assign them tasks "
        "and work, but rather teach them to long for the endless immensity of the sea."
    ),
}
