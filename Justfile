# The recipes run from any folder below, also where the path has spaces. Those that take paths run where the user stands
# ([no-cd]), so that a relative path means what it means in a shell; what is built by default lies in this folder's dist.
set positional-arguments

home := justfile_directory()
dist := if invocation_directory() == home { "dist" } else { home / "dist" }
python := quote(home / ".venv/bin/python")

# This folder's code runs, whatever lies where the user stands.
export PYTHONPATH := home
export PYTHONSAFEPATH := "1"
export GEMMA_BRIDGE_OUT := dist

# List the recipes
@default:
    {{just_executable()}} --list

# Make .venv once; does nothing while pyproject.toml, constraints.txt and the folder are the same
[group('house')]
setup:
    #!/usr/bin/env bash
    set -euo pipefail
    stamp() { pwd; cat pyproject.toml constraints.txt; }
    if stamp | cmp -s - .venv/stamp; then exit 0; fi
    for name in python3.11 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then found="$name"; break; fi
    done
    if [ -z "${found:-}" ]; then echo "error: Python 3.11 is needed and was not found on PATH" >&2; exit 2; fi
    echo "setup: one virtual environment in .venv, about 2 GB" >&2
    "$found" -m venv --clear .venv
    {{python}} -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
    stamp > .venv/stamp

# Convert, judge and pack, for android or ios: just bundle android google/gemma-4-E2B-it-qat-mobile-transformers
[group('models')]
[no-exit-message]
[no-cd]
@bundle platform='android' model='demo' *flags: setup
    {{python}} -m convert bundle "$@"

# Say what would be built, with sizes, and build nothing
[group('models')]
[no-exit-message]
[no-cd]
@plan platform='android' model='demo' *flags: setup
    {{python}} -m convert plan "$@"

# Look into a bundle, a .litertlm, a .tflite, an .mlpackage or a checkpoint
[group('models')]
[no-exit-message]
[no-cd]
@inspect what='demo' *flags: setup
    {{python}} -m convert inspect "$@"

# List models, platforms and finished bundles
[group('models')]
[no-exit-message]
[no-cd]
@list *flags: setup
    {{python}} -m convert list "$@"

# Talk with a bundle in the stock engine: just chat dist/android/demo --ask "What is 12 + 7?"
[group('models')]
[no-exit-message]
[no-cd]
@chat bundle=(dist / 'android/demo') *flags: setup
    if [ -d /dev/stdin ]; then echo "error: chat: stdin is a directory. Give a file or a pipe" >&2; exit 2; fi
    {{python}} -m convert chat "$@"

# Judge a bundle again; exit code 1 when it is over budget
[group('proof')]
[no-exit-message]
[no-cd]
@verify bundle=(dist / 'android/demo') *flags: setup
    {{python}} -m convert verify "$@"

# A public question set, from a file, as questions for --evaluation: just questions gsm8k test.jsonl gsm8k.jsonl
[group('proof')]
[no-exit-message]
[no-cd]
@questions kind source output *flags: setup
    {{python}} -m convert questions "$@"

# The ladder as tests, one for each rung of each bundle or model: just runtime-test dist/android/demo --checkpoint=FOLDER
[group('proof')]
[no-exit-message]
[no-cd]
runtime-test *bundles: setup
    #!/usr/bin/env bash
    set -euo pipefail
    options=() bundles=0
    for word in "$@"; do case "$word" in
        -*) options+=("$word") ;;
        *) options+=(--bundle "$word"); bundles=1 ;;
    esac; done
    [ $bundles = 1 ] || options+=(--bundle)
    exec {{python}} -m pytest {{quote(home / "runtime_tests/test_bundle.py")}} -v -rs "${options[@]}"

# Replay a bundle's goldens on a phone, over adb or on a Mac over devicectl, and add its verdict to the report: just device-test --platform ios
[group('proof')]
[no-exit-message]
[no-cd]
@device-test bundle=(dist / 'android/demo') *flags: setup
    {{python}} -m runtime_tests device "$@"

# Ask TensorFlow's interpreter about a bundle's .tflite sections, block by block, in an environment of its own; its report: dist/second-opinion
[group('proof')]
[no-exit-message]
[no-cd]
second-opinion bundle=(dist / 'android/demo') *flags: setup
    #!/usr/bin/env bash
    set -euo pipefail
    if [ ! -e "$1" ]; then echo "error: second-opinion: there is no $1. Build it first: just bundle" >&2; exit 2; fi
    out={{quote(dist / "second-opinion")}}/"$(basename "$1")"
    mkdir -p "$out"
    {{python}} -m convert verify "$@" --rungs 0 --second-opinion --json "$out/parity.json" --html "$out/parity.html"
    echo "$out/parity.html"

# Take pictures of a report at phone and desktop width, and check its accessibility; needs node, npm and Chromium
[group('proof')]
[no-exit-message]
[no-cd]
look page=(dist / 'android/demo/parity.html'):
    #!/usr/bin/env bash
    set -euo pipefail
    for name in node npm; do
        if ! command -v "$name" >/dev/null; then echo "error: look needs $name, which is not on PATH" >&2; exit 2; fi
    done
    look={{quote(dist / "look")}}
    mkdir -p "$look"
    npm install --silent --no-fund --no-audit --prefix "$look" playwright-core@1.65.1 axe-core@4.14.1 >&2
    node {{quote(home / "tests/support/look.mjs")}} "$1" "$look"

# Lint, types, import contracts, tests; arguments go to pytest: just test -k plan
[group('proof')]
[no-exit-message]
@test *args: setup
    {{python}} -m ruff check .
    {{python}} -m ruff format --check .
    {{python}} -m mypy
    .venv/bin/lint-imports
    # Tests that run a clone mean the clone's code, and set what they want of the environment themselves.
    env -u PYTHONPATH -u PYTHONSAFEPATH -u GEMMA_BRIDGE_OUT OMP_NUM_THREADS=1 {{python}} -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"

# Tests of the iOS sample, with Swift from Debian's packages: fetched once, 550 MB; on macOS with Xcode's
[group('proof')]
[no-exit-message]
swift-test *args: setup
    {{python}} -m tests.support.ios.swift_root
    env -u PYTHONPATH -u PYTHONSAFEPATH -u GEMMA_BRIDGE_OUT OMP_NUM_THREADS=1 {{python}} -m pytest -n 2 --dist loadfile tests/samples/ios tests/samples/test_manifest.py "$@"

# Inject every fault of the catalogue into models of every target and say which rung catches it; --update writes the goldens, names choose: just mutants coreml/ window
[group('proof')]
[no-exit-message]
@mutants *flags: setup
    OMP_NUM_THREADS=1 {{python}} -m tests.mutants "$@"

# Random right models by seed, each bundled and then given one fault: just soak 40; just soak 1 --seed 12345 --platform ios
[group('proof')]
[no-exit-message]
@soak count='4' *flags: setup
    {{python}} -m tests.soak "$@"

# Time and memory: stages of a bundle; coreml: a full-size package; products: kernels against float64; nbits: ONNX Runtime's; runtimes: LiteRT-LM and ONNX Runtime turn about; peers: llama.cpp and the public exporter beside ours; cache: what a longer context costs; drafter: the demo's, what it saves; kernels: what a token's products take; tokenizer: its loading; start: verbs that look
[group('figures')]
[no-exit-message]
[no-cd]
@bench what='demo' *of: setup
    {{python}} -m tests.bench "$@"

# Write four small checkpoints as Google's are (mobile and q4_0, E2B- and E4B-shaped), and bundle each: PLATFORM=ios just four
[group('figures')]
[no-exit-message]
four *flags: setup
    #!/usr/bin/env bash
    set -euo pipefail
    mkdir -p dist/checkpoints
    for format in mobile q4_0; do for size in e2b e4b; do
        folder="dist/checkpoints/${format}_$size"
        rm -rf "$folder"
        {{python}} -m tests.support.checkpoints.small "$format" "$size" "$folder"
        {{python}} -m convert bundle "${PLATFORM:-android}" "$folder" "$@"
    done; done

# Write a synthetic checkpoint of real size, convert it, decode with the stock engine; with --judge run the whole bundle
[group('figures')]
[no-exit-message]
[no-cd]
@fullsize size='e2b' format='mobile' *flags: setup
    {{python}} -m tests.fullsize "$@"

# Put small faults into a model of real size, each to be caught by its rung; an hour of two cores
[group('proof')]
[no-exit-message]
[no-cd]
@fullsize-faults *flags: setup
    {{python}} -m tests.fullsize_faults "$@"

# Train the demo from nothing and compare it with the embedded one; --install replaces that
[group('house')]
[no-exit-message]
@demo-train *flags: setup
    {{python}} -m convert.demo.train "$@"

# Format the code and sort its imports
[group('house')]
@format: setup
    {{python}} -m ruff check --fix-only .
    {{python}} -m ruff format .

# Remove everything that was built; .venv stays
[group('house')]
@clean:
    rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
