# shellcheck shell=sh
# The installation for the whole host, as `bootstrap --system` makes and removes it. Sourced by bootstrap, never run.
#
#   /opt/fimkit/versions/TIME    a venv of its own for each version; the one before stays, for what still runs of it
#   /opt/.fimkit.XXXXXX          where it is made, beside what is watched: what it will be is announced before it is moved in
#   /opt/fimkit/current          a link to the one in use, switched in one step
#   /usr/local/bin/fimkit        a link into it
#   /usr/local/lib/systemd/system/fimkit-*, /etc/cron.d/fimkit
#   /var/lib/fimkit              root's, and readable for the group `fimkit`
#   the user fimkit-scan         who reads hostile files
#
# Configuration (/etc/fimkit) and state are the administrator's: only --purge takes them away.

opt=/opt/fimkit
units_dir=/usr/local/lib/systemd/system
cron_file=/etc/cron.d/fimkit
link=/usr/local/bin/fimkit
state=/var/lib/fimkit
units='fimkit-watch.service fimkit-check.service fimkit-check.timer fimkit-rules.service fimkit-panic.service'
record=$state/panic/record.json

systemd_runs() { [ -d /run/systemd/system ] && command -v systemctl >/dev/null; }

system_usage() {
    say "unknown: $1; expected --system, --system --remove, or --system --remove --purge"
    exit 2
}

need_root() { [ "$(id -u)" = 0 ] || refuse "--system changes the whole host: run it as root (sudo)"; }

is_ours() { # a link that an earlier run made
    case $(readlink -- "$1" 2>/dev/null) in "$opt"/*) return 0 ;; esac
    return 1
}

# Another's files are never written over.
check_places() {
    { [ ! -e "$link" ] && [ ! -L "$link" ]; } || is_ours "$link" || refuse "$link is there and is none of fimkit's: move it away first"
    { [ ! -e "$opt" ] && [ ! -L "$opt" ]; } || [ -d "$opt/versions" ] || refuse "$opt is there and is none of fimkit's: move it away first"
}

# disarmed, armed, triggered, cut or restored, as the program says, or else as the record does; unknown where that is damaged.
panic_phase() {
    [ -e "$record" ] || { echo disarmed && return 0; }
    if [ -e /etc/fimkit/fimkit.toml ] && [ -x "$opt/current/bin/fimkit" ]; then
        "$opt/current/bin/fimkit" panic status --json 2>/dev/null | "$python" -I -c "$read_phase" 2>/dev/null && return 0
    fi
    "$python" -I -c "$read_phase" <"$record" 2>/dev/null || echo unknown
}
read_phase='
import json, sys
phase = json.JSONDecoder().raw_decode(sys.stdin.read())[0]["phase"]
sys.exit(phase not in ("disarmed", "armed", "triggered", "cut", "restored") or print(phase))'

# The new version in a venv of its own; nothing that is in use is touched. A copy is built, so that the checkout stays as it is.
build_version() {
    new=$opt/versions/$(date -u +%Y%m%dT%H%M%SZ)-$$
    check_python
    say "installing fimkit into $new"
    . "$here/units/lock.sh"
    copy=$(mktemp -d)
    (cd -- "$here" && cp -R bootstrap pyproject.toml README.md fimkit queries units "$copy")
    find "$copy" -name __pycache__ -type d -prune -exec rm -rf {} +
    # On the file system of the place that it will have: a rename is one step, and what runs there runs here.
    mkdir -p "$(dirname "$opt")"
    clear_made
    made=$(mktemp -d "$(dirname "$opt")/.fimkit.XXXXXX")
    staged=$made/version
    "$python" -I -m venv "$staged" >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        refuse "no venv could be made in $staged; if its module is missing: $(install_command python3-venv)"
    }
    # YARA is an extra: without it contents are searched by the keyword rules alone.
    install_fimkit "$staged/bin/python" "$copy" scan || {
        say "YARA could not be had, and is left out: $(grep -m1 '^ERROR' "$log" || tail -n 1 "$log")"
        install_fimkit "$staged/bin/python" "$copy" ''
    } || {
        tail -n 20 "$log" >&2
        refuse "pip could not install fimkit into $new; its words are above$unlock_hint"
    }
    venv=$staged
    link_binding
    rm -rf -- "$copy"
    copy=
    "$staged/bin/fimkit" --version >"$log" 2>&1 || {
        tail -n 5 "$log" >&2
        refuse "the new version does not start; what was there stays in use"
    }
    # What is compiled at its first use would be a change later.
    "$staged/bin/python" -I -m compileall -q "$staged/lib" >"$log" 2>&1 || :
    "$python" -I "$here/units/relocate.py" "$staged" "$new"
    # Nobody but root may have a say in what runs as root.
    chown -R 0:0 "$staged"
    chmod -R go-w "$staged"
}

# What a run that was killed has left; the lock says that none is at work.
clear_made() {
    for left in "$(dirname "$opt")"/.fimkit.??????; do
        if [ -d "$left" ] && [ ! -L "$left" ] && [ -O "$left" ]; then rm -rf -- "$left"; fi
    done
}

make_users_and_state() {
    getent group fimkit >/dev/null || groupadd --system fimkit
    # Who reads hostile files, and runs handlers: a user of its own, who owns nothing and is in no other group.
    getent passwd fimkit-scan >/dev/null || useradd --system --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin --comment 'fimkit, reading hostile files' fimkit-scan
    if [ ! -e "$state" ]; then
        mkdir -m 0750 "$state"
        chgrp fimkit "$state"
    elif [ ! -e "$opt/current" ]; then # there before the first installation: what its owner set is kept
        say "$state is kept as it is; to let the group fimkit read it: chgrp fimkit $state && chmod 0750 $state"
    fi
}

# What will be moved into place is made first; what is there as it will be stays as it is.
make_files() {
    mkdir "$made/units" "$made/old"
    for unit in $units; do install -m 0644 -o 0 -g 0 "$here/units/$unit" "$made/units/$unit"; done
    install -m 0644 -o 0 -g 0 "$here/units/fimkit.cron" "$made/fimkit.cron"
    ln -s "versions/$(basename "$new")" "$made/current"
    ln -s "$opt/current/bin/fimkit" "$made/link"
    old=$(readlink -- "$opt/current" 2>/dev/null || :)
    places=$made/places
    {
        for unit in $units; do place "$made/units/$unit" "$units_dir/$unit"; done
        # Where there is no cron there is nothing to say to it.
        [ ! -d "$(dirname "$cron_file")" ] || place "$made/fimkit.cron" "$cron_file"
        place "$staged" "$new"
        place "$made/current" "$opt/current"
        place "$made/link" "$link"
    } >"$places"
    for version in "$opt"/versions/*; do
        [ ! -d "$version" ] || [ "$version" = "$opt/$old" ] || still_runs "$version" || printf '\n%s\n' "$version" >>"$places"
    done
}

# SOURCE TARGET: two lines, unless the one is as the other already.
place() {
    if [ -L "$1" ]; then
        [ ! -L "$2" ] || [ "$(readlink -- "$1")" != "$(readlink -- "$2")" ] || return 0
    elif [ -f "$1" ] && [ ! -L "$2" ] && cmp -s -- "$1" "$2" && [ "$(stat -c '%u:%g:%a' -- "$2")" = 0:0:644 ]; then
        return 0
    fi
    printf '%s\n%s\n' "$1" "$2"
}

# With `[self] watch`, all this would be found: the version in use is told what comes, and takes just that for good when it came.
own_upgrade() { # STEP ARG…
    [ -n "$old" ] && [ -e "$state/fimkit.sqlite" ] && [ -e /etc/fimkit/fimkit.toml ] || return 0
    if ! "$opt/$old/bin/python" -I -c 'import fimkit.verbs.own_upgrade' 2>/dev/null; then
        [ "$1" = settle ] || say "the version in use cannot be told what will be written: what [self] finds of it is to be accepted"
        return 0
    fi
    "$opt/$old/bin/python" -I -m fimkit.verbs.own_upgrade /etc/fimkit/fimkit.toml "$made/note" "$@" ||
        say "what it wrote is to be accepted where [self] finds it: fimkit baseline accept"
}

announce_files() {
    set --
    while IFS= read -r line; do set -- "$@" "$line"; done <"$places"
    announced=yes
    own_upgrade announce "$(command -v mv)" -- "$@"
}

settle_files() {
    [ -n "${announced:-}" ] || return 0
    announced=
    own_upgrade settle
}

# Renames of what was made before: each name has the old one or the new one, and there is one program that writes.
move_files() {
    mkdir -p "$opt/versions" "$units_dir" "$(dirname "$link")"
    while IFS= read -r from && IFS= read -r to; do
        if [ -z "$from" ]; then mv -- "$to" "$made/old/"; else move "$from" "$to"; fi
        [ "$to" != "$opt/current" ] || done_with=$new
    done <"$places"
}

move() { # FROM TO: on another file system a rename is a copy, and that is made beside the place
    if [ -d "$1" ] || [ "$(stat -c %d -- "$made")" = "$(stat -c %d -- "$(dirname "$2")")" ]; then
        mv -T -- "$1" "$2"
    else
        mv -T -- "$1" "$2.new"
        mv -T -- "$2.new" "$2"
    fi
}

# What holds a cut is not restarted for an upgrade, nor for the one after it.
still_runs() { grep -aqsF -- "$1/" /proc/[0-9]*/cmdline; }

# What is installed on the host names the interpreter that it was installed with.
renew_installed() {
    [ -e "$state/install.json" ] && [ -e /etc/fimkit/fimkit.toml ] || return 0
    "$opt/current/bin/fimkit" install >"$log" 2>&1 || say "fimkit install had a complaint: $(tail -n 1 "$log")"
}

restart_services() {
    if ! systemd_runs; then
        say "systemd does not run here: the units are placed, and nothing is started"
        return 0
    fi
    systemctl daemon-reload
    phase=$(panic_phase)
    # Those that run now, and no others; a check under way goes on with the version that it began with.
    case $phase in
    triggered | cut | unknown)
        say "fimkit-panic is left as it is, its phase is $phase: after fimkit panic restore, systemctl restart fimkit-panic" ;;
    *) systemctl try-restart fimkit-panic.service || say "fimkit-panic did not come back: journalctl -u fimkit-panic" ;;
    esac
    if [ "$phase" = triggered ]; then # the watch's child runs the panic
        say "a panic is under way, and fimkit-watch is left as it is: afterwards, systemctl restart fimkit-watch"
    else
        systemctl try-restart fimkit-watch.service || say "fimkit-watch did not come back: journalctl -u fimkit-watch"
    fi
}

next_steps() {
    [ -e /etc/fimkit/fimkit.toml ] || say "next: fimkit init, then read /etc/fimkit/fimkit.toml"
    [ -e "$state/fimkit.sqlite" ] || say "then: fimkit baseline create; fimkit install"
    if [ -z "$old" ]; then
        say "then: systemctl enable --now fimkit-rules.service fimkit-panic.service fimkit-watch.service fimkit-check.timer"
        say "then, if this host is to cut itself off when something critical changes: fimkit panic arm"
        say "who may read the findings: usermod -aG fimkit NAME"
    fi
}

clean_half() {
    release_services
    [ -z "${copy:-}" ] || rm -rf -- "$copy"
    [ -z "${new:-}" ] || [ "${done_with:-}" = "$new" ] || rm -rf -- "$new"
    settle_files
    [ -z "${made:-}" ] || rm -rf -- "$made"
    rm -f -- "$log"
    rmdir -- "$opt/versions" "$opt" 2>/dev/null || :
}

begin_system() {
    need_root
    umask 022
    log=$(mktemp)
    trap clean_half EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    # One at a time; the folder is there in any case, and the lock ends with this process.
    exec 9</etc
    flock 9
}

install_system() {
    begin_system
    check_places
    ensure_packages
    build_version
    make_users_and_state
    make_files
    announce_files
    move_files
    settle_files
    renew_installed
    restart_services
    if [ -n "$old" ]; then say "upgraded: $("$link" --version)"; else say "installed: $("$link" --version)"; fi
    next_steps
    [ -z "$missing" ] || say "not here: $missing; what needs them says so"
}

# A host that is cut off stays so until somebody puts it back, and only fimkit knows how; an armed one tells that it is disarmed.
settle_panic() {
    phase=$(panic_phase)
    case $phase in
    triggered | cut) refuse "a panic holds this host, its phase is $phase; first: fimkit panic restore" ;;
    unknown)
        refuse "there is a record of a panic, and its phase cannot be told; read: fimkit panic status; if nothing is cut: mv $record $record.old" ;;
    armed) "$opt/current/bin/fimkit" panic disarm >"$log" 2>&1 || say "it could not be disarmed, and is removed: $(tail -n 1 "$log")" ;;
    esac
}

stop_services() {
    if systemd_runs; then
        for unit in fimkit-watch.service fimkit-check.timer fimkit-check.service fimkit-rules.service fimkit-panic.service; do
            [ ! -e "$units_dir/$unit" ] || systemctl disable --now "$unit" >"$log" 2>&1 || say "$unit: $(tail -n 1 "$log")"
        done
    fi
    rm -f /etc/systemd/system/multi-user.target.wants/fimkit-watch.service \
        /etc/systemd/system/multi-user.target.wants/fimkit-rules.service \
        /etc/systemd/system/multi-user.target.wants/fimkit-panic.service \
        /etc/systemd/system/timers.target.wants/fimkit-check.timer
}

# Once the program is gone nobody could undo what `fimkit install` did.
uninstall_rules() {
    [ -e "$state/install.json" ] && [ -x "$opt/current/bin/fimkit" ] || return 0
    if "$opt/current/bin/fimkit" uninstall >"$log" 2>&1; then
        say "the audit rules and osquery's files of fimkit are taken away too"
    else
        refuse "fimkit uninstall had a complaint, and everything else stays: $(tail -n 1 "$log")"
    fi
}

purge_system() {
    rm -rf -- "$state" /etc/fimkit
    ! getent passwd fimkit-scan >/dev/null || userdel fimkit-scan >"$log" 2>&1 || say "the user fimkit-scan is kept: $(tail -n 1 "$log")"
    getent group fimkit >/dev/null || return 0
    if [ -n "$(getent group fimkit | cut -d: -f4)" ]; then
        say "the group fimkit has members, and is kept: groupdel fimkit"
    else
        groupdel fimkit
    fi
}

remove_system() {
    begin_system
    settle_panic
    uninstall_rules
    stop_services
    for unit in $units; do rm -f -- "${units_dir:?}/$unit"; done
    rm -f -- "$cron_file"
    if is_ours "$link"; then rm -f -- "$link"; fi
    rmdir -- "$units_dir" "$(dirname "$units_dir")" 2>/dev/null || : # where others have none there
    [ ! -d "$opt/versions" ] || rm -rf -- "$opt"
    if systemd_runs; then systemctl daemon-reload; fi
    if [ "${1:-}" = --purge ]; then
        purge_system
        say "removed, with state and configuration; the system's own packages stay"
    else
        say "removed; kept: $state, /etc/fimkit, the group fimkit and the user fimkit-scan (--purge takes them too), and the system's own packages"
    fi
}

system_main() {
    level=run
    case ${1:-} in
    '') install_system ;;
    --remove)
        case ${2:-} in '' | --purge) ;; *) system_usage "$2" ;; esac
        [ -z "${3:-}" ] || system_usage "$3"
        remove_system "${2:-}"
        ;;
    *) system_usage "$1" ;;
    esac
}
