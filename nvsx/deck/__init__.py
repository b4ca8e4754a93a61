"""The flight-deck: `fold` keeps what is known of a run, `frame` draws it. Both are pure; `nvsx.sinks.screen` paints."""

from nvsx.deck.frame import frame
from nvsx.deck.state import NEW, DeckState, fold
from nvsx.deck.view import View

__all__ = ["NEW", "DeckState", "View", "fold", "frame"]
