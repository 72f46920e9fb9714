"""Camera-space hand mesh recovery: the one entry point. See --help and README.md."""

import sys

from handmesh.errors import InputError, TrainingDivergedError
from options import Options, parse_options


def run(options: Options) -> int:
    """Hand over to the code of the phase; returns the exit status."""
    if options.phase == "train":
        from runner.train import train

        train(options)
        return 0
    if options.phase == "eval":
        from runner.evaluate import evaluate

        evaluate(options)
        return 0
    if options.phase == "score":
        from runner.score import score

        score(options)
        return 0
    if options.phase == "synth":
        from runner.synth import synthesize

        synthesize(options)
        return 0
    from handmesh.demo import demo

    return demo(options)


def main() -> int:
    try:
        return run(parse_options())
    except InputError as error:
        # An error in a data worker arrives wrapped in the worker's traceback; its own message is the last part.
        print(f"error: {str(error).rpartition('InputError: ')[2].strip()}", file=sys.stderr)
        return 2
    except TrainingDivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
