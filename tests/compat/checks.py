"""What the client scripts share: counting checks, and the records that they send."""

import sys


class Checks:
    """Prints one line a check; `finish` ends the script with 1 if any failed."""

    def __init__(self):
        self.failed = 0

    def equal(self, name, expected, found):
        if expected == found:
            print(f"ok      {name}")
            return
        self.failed += 1
        print(f"FAILED  {name}: expected {_short(expected)}, found {_short(found)}")

    def raises(self, name, code_of, expected, action):
        """`action` must fail with an error for which `code_of` gives `expected`."""
        try:
            found = f"no error, but {action()!r}"
        except Exception as error:  # any kind: what counts is its code
            found = code_of(error)
        self.equal(name, expected, found)

    def finish(self):
        sys.exit(1 if self.failed else 0)


def _short(value):
    text = repr(value)
    return text if len(text) <= 400 else text[:400] + "..."


def records(count, codec):
    """(key, value, headers, timestamp) with nulls, empty values, doubled header keys and binary bytes among them."""
    base = 1_700_000_000_000
    for index in range(count):
        key = None if index % 7 == 3 else b"key-%d" % (index % 10)
        if index % 11 == 5:
            value = None
        elif index % 13 == 6:
            value = b""
        else:
            value = bytes((index * 31 + place) % 256 for place in range(index % 300)) + codec.encode()
        headers = [("n", b"%d" % index), ("n", b"again"), ("null", None), ("empty", b"")] if index % 3 == 0 else []
        yield key, value, headers, base + index * 10
