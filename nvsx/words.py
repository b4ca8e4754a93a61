"""The words of aliases: easy to say and to hear over a bad line. Changing or moving one renames every node."""

from __future__ import annotations

# fmt: off
ADJECTIVES = (
    "keen", "lively", "loyal", "lucky", "mellow", "mighty", "modest", "nimble",
    "patient", "playful", "polite", "proud", "purple", "quiet", "rapid", "rogue",
    "royal", "rustic", "shiny", "silver", "sleepy", "snowy", "solar", "steady",
    "stormy", "sunny", "swift", "tidy", "velvet", "witty", "agile", "amber",
    "ancient", "bold", "brave", "breezy", "bright", "brisk", "calm", "candid",
    "cheery", "clever", "cosmic", "crafty", "crimson", "curious", "dapper", "daring",
    "dusty", "eager", "early", "electric", "fancy", "fearless", "fluffy", "frosty",
    "gentle", "giant", "golden", "graceful", "happy", "hardy", "honest", "jolly",
)

ANIMALS = (
    "raccoon", "raven", "salmon", "tiger", "toucan", "walrus", "wombat", "zebra",
    "alpaca", "antelope", "badger", "bison", "bobcat", "camel", "caribou", "cheetah",
    "cobra", "condor", "cougar", "coyote", "crane", "cricket", "dolphin", "dragonfly",
    "eagle", "egret", "elephant", "falcon", "ferret", "flamingo", "fox", "gazelle",
    "gecko", "giraffe", "hamster", "hedgehog", "heron", "hippo", "husky", "ibex",
    "iguana", "impala", "jaguar", "kangaroo", "kestrel", "koala", "lemur", "leopard",
    "lizard", "llama", "lobster", "lynx", "mammoth", "marmot", "moose", "narwhal",
    "octopus", "orca", "osprey", "otter", "panda", "pelican", "penguin", "puffin",
)
# fmt: on
