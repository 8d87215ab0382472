"""Words for people: what depends on a number."""


def plural(count: int, noun: str) -> str:
    """As "1 run", "2,000 runs", "3 classes"; `noun` is the singular, with an adjective before it or without."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def there_are(count: int, noun: str) -> str:
    return f"there {'is' if count == 1 else 'are'} {plural(count, noun)}"
