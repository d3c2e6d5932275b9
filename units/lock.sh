# shellcheck shell=sh
# The lock: `bootstrap lock` makes it, every installation is held to it, `bootstrap sbom` says what it comes to. Sourced by bootstrap.
#
# requirements.lock has a version and the hashes of its files for all that fimkit and its extras need, on each Python from 3.11 on.
# What users run is installed with its hashes checked. Tests take its versions alone: they also run where an index has files of its own.
# FIMKIT_UNLOCKED=1 leaves it aside, and takes what pyproject.toml allows: for a Python or a processor that the lock has no files for.

pip_quietly() { # PYTHON ARG…
    pip_python=$1
    shift
    "$pip_python" -I -m pip --quiet --disable-pip-version-check --no-input install --progress-bar off "$@" >"$log" 2>&1
}

unlock_hint='; where the lock has no files for this Python or processor, FIMKIT_UNLOCKED=1 takes what pyproject.toml allows'

unlocked() { [ "${FIMKIT_UNLOCKED:-0}" = 1 ]; }

# PYTHON PROJECT EXTRA [--editable]: fimkit and what it needs, by the lock unless that is left aside; EXTRA is one or empty.
install_fimkit() {
    if unlocked; then
        say "FIMKIT_UNLOCKED: taking what pyproject.toml allows, without hashes"
        pip_quietly "$1" ${4:-} "$2${3:+[$3]}"
    else
        install_locked "$1" "$3" ${4:-} "$2"
    fi
}

# PYTHON EXTRAS PROJECT…: what fimkit needs, its hashes checked; then fimkit itself (PROJECT… as pip has it), which asks for no more.
install_locked() {
    locked_python=$1 locked_extras=$2
    shift 2
    picked=$(mktemp)
    # shellcheck disable=SC2086 # one word an extra
    "$python" -I "$here/units/locked.py" "$here" hashes $locked_extras >"$picked" 2>"$log" &&
        pip_quietly "$locked_python" --require-hashes -r "$picked" &&
        pip_quietly "$locked_python" --no-deps --no-build-isolation "$@" &&
        locked_status=0 || locked_status=$?
    rm -f -- "$picked"
    # No reason to try again with less, nor to leave the lock aside: that file is not the one that was locked.
    if [ "$locked_status" != 0 ] && grep -q 'DO NOT MATCH THE HASHES' "$log"; then
        grep -A 5 'DO NOT MATCH THE HASHES' "$log" >&2
        refuse "a file that was downloaded is not the one that requirements.lock has: nothing of it was installed; ask who runs the index"
    fi
    return "$locked_status"
}

# PYTHON PROJECT…: the lock's versions where they can all be had, else what pyproject.toml allows, and it says so.
install_for_tests() {
    tests_python=$1
    shift
    if unlocked; then
        pip_quietly "$tests_python" "$@"
        return
    fi
    picked=$(mktemp)
    if "$python" -I "$here/units/locked.py" "$here" constraints >"$picked" 2>"$log" && pip_quietly "$tests_python" -c "$picked" "$@"; then
        rm -f -- "$picked"
        return 0
    fi
    rm -f -- "$picked"
    say "not all versions of requirements.lock can be had here, taking what pyproject.toml allows: $(grep -m1 '^ERROR' "$log" || tail -n 1 "$log")"
    pip_quietly "$tests_python" "$@"
}

# A tool in a venv of its own, so that it is nobody's dependency.
make_tool_venv() { # PACKAGE
    check_python
    work=$(mktemp -d)
    log=$work/log
    trap 'rm -rf -- "$work"' EXIT
    "$python" -I -m venv "$work/tool" >"$log" 2>&1 && pip_quietly "$work/tool/bin/python" "$1" || {
        tail -n 5 "$log" >&2
        refuse "$1 could not be installed; its words are above"
    }
}

make_lock() { # [--upgrade]
    make_tool_venv uv
    "$python" -I -c "$read_build" "$here/pyproject.toml" >"$work/build.in"
    cp -- "$here/pyproject.toml" "$work/pyproject.toml"
    [ ! -e "$here/requirements.lock" ] || cp -- "$here/requirements.lock" "$work/requirements.lock"
    # What is in the lock stays, unless it is asked to move.
    (cd -- "$work" && tool/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes "$@" \
        --custom-compile-command './bootstrap lock' --output-file requirements.lock pyproject.toml build.in >"$log" 2>&1) || {
        tail -n 20 "$log" >&2
        refuse "uv could not make the lock; its words are above"
    }
    mv -- "$work/requirements.lock" "$here/requirements.lock"
    say "requirements.lock: $(grep -c '^[a-z0-9].*==' "$here/requirements.lock") versions, $(grep -c -- '--hash=' "$here/requirements.lock") hashes"
}
read_build='
import sys, tomllib
print("\n".join(tomllib.load(open(sys.argv[1], "rb"))["build-system"]["requires"]))'

# What an installation by the lock is made of, with licences as installed and hashes as locked. CycloneDX 1.6, JSON.
make_sbom() { # FILE [EXTRA…]
    bom=$1
    shift
    case $bom in /*) ;; *) bom=$PWD/$bom ;; esac
    make_tool_venv cyclonedx-bom
    say "installing fimkit by its lock, to look at"
    mkdir "$work/fimkit" && (cd -- "$here" && cp -R bootstrap pyproject.toml README.md fimkit queries units "$work/fimkit")
    "$python" -I -m venv "$work/venv" >"$log" 2>&1 && install_locked "$work/venv/bin/python" "$*" "$work/fimkit" || {
        tail -n 20 "$log" >&2
        refuse "pip could not install by requirements.lock; its words are above"
    }
    "$work/venv/bin/python" -I -m pip --disable-pip-version-check --no-input uninstall --quiet --yes pip >"$log" 2>&1 || :
    "$work/tool/bin/cyclonedx-py" environment --pyproject "$here/pyproject.toml" --mc-type application --sv 1.6 --of JSON \
        --output-reproducible -o "$work/bom.json" "$work/venv/bin/python" >"$log" 2>&1 &&
        "$python" -I "$here/units/locked.py" "$here" sbom "$work/bom.json" >"$bom" || {
        tail -n 20 "$log" >&2
        refuse "the software bill of materials could not be made; the words are above"
    }
}

lock_main() {
    case $* in
    lock | 'lock --upgrade') shift && make_lock "$@" ;;
    'sbom '?*) shift && make_sbom "$@" ;;
    *) usage ;;
    esac
}
