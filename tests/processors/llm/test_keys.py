"""What is shown of a key: nothing."""

from processors.llm.keys import MASK, Keys


def test_no_key_ever_used_is_shown_not_even_one_that_another_begins_with() -> None:
    for first, second in (("sk-a", "sk-abc"), ("sk-abc", "sk-a")):
        keys = Keys(first, None, lambda: None)
        keys._use(second)
        assert keys.masked("sk-abc is refused, and so was sk-a") == f"{MASK} is refused, and so was {MASK}"
