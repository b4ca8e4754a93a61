"""Stands in for rpds-py, which is native, inside the archive: the three persistent collections that `referencing` and
`jsonschema` use, as dict, frozenset and tuple that are copied when they change.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


class HashTrieMap(Mapping[K, V]):
    """A mapping that never changes: every change returns another map."""

    __slots__ = ("_items",)

    def __init__(self, value: Any = (), /, **named: V) -> None:
        self._items: dict[K, V] = dict(value, **named)

    @classmethod
    def convert(cls, value: Any) -> HashTrieMap[K, V]:
        return value if isinstance(value, cls) else cls(value)

    def __getitem__(self, key: K) -> V:
        return self._items[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"HashTrieMap({self._items!r})"

    def get(self, key: K, default: Any = None) -> Any:
        return self._items.get(key, default)

    def insert(self, key: K, value: V) -> HashTrieMap[K, V]:
        return HashTrieMap({**self._items, key: value})

    def update(self, *others: Any, **named: V) -> HashTrieMap[K, V]:
        items: dict[Any, V] = dict(self._items)
        for other in others:
            items.update(other)
        items.update(named)
        return HashTrieMap(items)

    def remove(self, key: K) -> HashTrieMap[K, V]:
        """Without `key`; KeyError if it is not there."""
        items = dict(self._items)
        del items[key]
        return HashTrieMap(items)

    def discard(self, key: K) -> HashTrieMap[K, V]:
        return self.remove(key) if key in self._items else self


class HashTrieSet(frozenset[T]):
    """A set that never changes: every change returns another set."""

    __slots__ = ()

    def insert(self, value: T) -> HashTrieSet[T]:
        return HashTrieSet(self | {value})

    def update(self, *others: Iterable[T]) -> HashTrieSet[T]:
        return HashTrieSet(self.union(*others))

    def discard(self, value: T) -> HashTrieSet[T]:
        return HashTrieSet(self - {value})

    def remove(self, value: T) -> HashTrieSet[T]:
        """Without `value`; KeyError if it is not there."""
        if value not in self:
            raise KeyError(value)
        return self.discard(value)


class List(tuple[T, ...]):
    """A list whose front is cheap to change; every change returns another list."""

    __slots__ = ()

    def __new__(cls, *values: Any) -> List[T]:
        return super().__new__(cls, values[0] if len(values) == 1 and isinstance(values[0], Iterable) else values)

    @property
    def first(self) -> T:
        return self[0]

    @property
    def rest(self) -> List[T]:
        return List(self[1:])

    def push_front(self, value: T) -> List[T]:
        return List((value, *self))

    def drop_first(self) -> List[T]:
        return self.rest
