"""Options of a call that starts from a checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from handmesh.errors import InputError
from options.checks import check_rules, check_value
from options.options import FIXED, NETWORK, NOT_KEPT, OPTIONS, RUN, TRAIN, Options


def with_stored(
    options: Options, stored: Mapping[str, Any], network: Mapping[str, Any], source: str, continued: bool
) -> Options:
    """Fill in what a checkpoint says: the command line comes before it, and it before the defaults.

    Args:
        stored: options of the run that wrote it; empty where it does not say.
        network: those of the network that its weights show.
        source: name of the checkpoint, for errors.
        continued: whether its training goes on, from where it was.

    Raises:
        InputError: the command line contradicts what cannot change, or a stored value is none.
    """
    taken = (NETWORK, RUN, FIXED) if options.phase == TRAIN and not options.weights_only else (NETWORK,)
    known = {}
    for name, item in OPTIONS.items():
        if item.metadata["belongs_to"] in taken and stored.get(name) is not None and name not in network:
            value = stored[name]
            settled = continued and item.metadata["belongs_to"] == FIXED
            known[name] = tuple(value) if isinstance(value, list) else value
            if settled or name not in options.given:
                _check_stored(name, known[name], source, settled, continued)
    for name, value in network.items():
        check_value(name, value, f"{source}: ")
    known |= network
    fixed = set(network)
    if continued:
        fixed |= {name for name, item in OPTIONS.items() if item.metadata["belongs_to"] == FIXED}
        before = known.get("cache", "auto")
        if known.get("stream") and "cache" in options.given and (before in NOT_KEPT) != (options.cache in NOT_KEPT):
            fixed.add("cache")  # another folder is all right, but not images that change instead of ones that stay
    elif options.phase == TRAIN and "imagenet" in options.given:
        raise InputError("--imagenet starts new weights and --resume takes old ones: leave one of them out")
    for name in sorted(fixed & options.given):
        asked, holds = getattr(options, name), known.get(name, OPTIONS[name].default)
        if asked != holds:
            raise InputError(f"--{name} {asked}: {source} holds {name} {holds}; leave the option out to use it")
    options = replace(options, **{name: value for name, value in known.items() if name not in options.given})
    check_rules(options)
    return options


def _check_stored(name: str, value: Any, source: str, settled: bool, continued: bool) -> None:
    try:
        check_value(name, value, f"{source}: ")
    except InputError as error:
        ways = [] if settled else [f"name another --{name}"]
        ways += ["start a new run from its weights with --weights_only"] if continued else []
        raise InputError(f"{error}; {', or '.join(ways)}") from error
