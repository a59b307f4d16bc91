//! The text of the script: what every one has, and words of a shell.

use crate::bytes::{self, Put};
use crate::sys::record::put_with_unknowns;
use alloc::vec::Vec;

/// What all parts of the script use.
pub(super) const FUNCTIONS: &str = r#"set -e
stop() { echo "$0: $1" >&2; exit 125; }
# Without -n it would note mounts in /run/mount, for the host.
mount() { command mount -n "$@"; }
# Whether it has a cgroup of its own in the hierarchy of a controller.
owns() { case $own_groups in *[:,]"$1"[:,]*) ;; *) return 1 ;; esac; }
# tool NAME OPTION HINT: the NAME in PATH, not one in the shell, if it has OPTION. The PATH of a user may lack the last two folders.
tool() {
    folders=$PATH:/usr/sbin:/sbin:
    while [ "$folders" ] && ! [ -x "${folders%%:*}/$1" ]; do folders=${folders#*:}; done
    [ "$folders" ] || stop "$1 is missing here: $3"
    [ ! "$2" ] || "${folders%%:*}/$1" --help 2>&1 | grep -q -e "$2" || stop "$1 $2 is missing here: $3"
    echo "${folders%%:*}/$1"
}
# decode WORD: sets point; mountinfo has \040 for a blank.
decode() { point=$(printf "$(echo "$1" | sed 's/%/%%/g')x"); point=${point%x}; }
# restrict PATH OPTIONS: the mount that is seen there and all in it get these, beside those that each has.
restrict() {
    # The run has followed a link, too.
    set -- "$(readlink -f "$1")" "$2"
    tree=
    while read -r id _ _ _ point _; do
        decode "$point"
        [ "$point" != "$1" ] || tree=" $id "
    done </proc/self/mountinfo
    [ "$tree" ] || stop "$1: not mounted"
    while read -r id above _ _ point options _; do
        case $tree in *" $above "*) tree="$tree$id " ;; *" $id "*) ;; *) continue ;; esac
        decode "$point"
        options=,$options
        # One that is missing is hidden by another.
        [ ! -e "$point" ] || mount -o "remount,bind,$2${options#,rw}" "$point"
    done </proc/self/mountinfo
}
# at_the_top: in a chroot, what is mounted above it would lie above the new root too. Without nsenter, PID 1 is at the top.
at_the_top() {
    if command -v nsenter >/dev/null; then
        set -- grep '^[^ ]* [^ ]* [^ ]* [^ ]* / ' /proc/self/mountinfo
        top=$(nsenter --mount=/proc/self/ns/mnt "$@" 2>/dev/null) && [ "$top" = "$("$@")" ]
    else
        [ / -ef /proc/1/root/ ]
    fi || stop 'this is a chroot, with mounts above it: leave out --rootfs and --ephemeral, or start the script outside'
}
# find_keyctl: a kernel may have no keyrings.
find_keyctl() {
    sh=$(tool sh '' '--privileged does without')
    keyctl=
    [ -e /proc/key-users ] || return 0
    keyctl=$(tool keyctl '' 'install keyutils, or --privileged does without')
    "$keyctl" session - true >/dev/null 2>&1 || stop 'a session keyring: --privileged does without'
}
# in_new_keyring COMMAND..: keyctl prints a line of its own before the command begins.
in_new_keyring() {
    [ "$keyctl" ] || exec "$@"
    exec "$keyctl" session - "$sh" -c 'exec "$@" >&3 2>&4 3>&- 4>&-' sh "$@" 3>&1 4>&2 >/dev/null 2>&1
}
# keep SOURCE PLACE: what is at SOURCE now, before anything hides it.
keep() {
    case $(readlink -f "$1")/ in
        // | /sys/*) stop "$1: the script uses /sys itself: leave out this -v, or --network host" ;;
    esac
    if [ -d "$1" ]; then mkdir "$2"; else : >"$2"; fi
    mount --rbind "$1" "$2"
}
# target ROOT SOURCE PATH [MODE]: makes PATH in ROOT for a mount of SOURCE. A link could lead it out of ROOT.
target() {
    there=$3
    until [ -e "$there" ] || [ -L "$there" ]; do there=${there%/*}; done
    [ "$(readlink -f "$there")" = "$(readlink -f "$1")${there#"$1"}" ] ||
        stop "$there: a link leads it elsewhere: remove the link, or leave out the -v, --tmpfs, --tz or -w of it"
    until [ -e "$3" ]; do
        there=$3
        until [ -e "${there%/*}" ]; do there=${there%/*}; done
        if [ "$there" != "$3" ]; then mkdir -m 755 "$there"
        elif [ -d "$2" ]; then mkdir -m "${4:-755}" "$there"
        else (umask 022; : >"$there"); fi
        made="$there
$made"
    done
}
# undo ROOT: removes what was made in ROOT, as the command is not executed.
undo() {
    [ ! "$made" ] || umount -n -l "$1"
    printf %s "$made" | while IFS= read -r there; do
        if [ -d "$there" ]; then rmdir "$there" 2>/dev/null || :; else rm -f "$there"; fi
    done
    exit 125
}
"#;

/// What follows the functions. The end of the script removes the cgroups that it has made, its arguments.
pub(super) const BEGIN: &str = r#"#!/bin/sh
# What `mydocker run` would do, with what a shell has.
functions=$(cat <<'END'
^END
)
eval "$functions"
status=125
leave() { :; }
finish() {
    for cgroup; do rmdir "$cgroup" || status=125; done
    leave
    exit "$status"
}
set --
trap 'finish "$@"' EXIT
trap : HUP INT TERM
^^"#;

/// The last command of the script. Its options are those of the namespaces.
pub(super) const UNSHARE: &str = r#"unshare=$(tool unshare ^ 'without it there are no namespaces, and no option does without')
"$unshare" -f^ true || stop 'no namespaces can be made here'
kill_child=
"$unshare" --help 2>&1 | grep -q -e --kill-child && kill_child=--kill-child || :
status=0
^"$unshare" -f $kill_child^ sh -c "$functions
$child" "$0" ''^"#;

/// Executes the rest of the script, the first argument, anew in a new cgroup namespace.
pub(super) const REST: &str = r#"rest=$1
shift
unshare=$(tool unshare --cgroup '--privileged --no-limits does without')
"$unshare" --cgroup true || stop 'a cgroup namespace: --privileged --no-limits does without'
trap - EXIT
exec "$unshare" --cgroup sh -c "$rest" "$0" "$made" "$@""#;

/// A shell can close no descriptor above 9.
pub(super) const CLOSE: &str = r#"exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
others=
for file in /proc/self/fd/??*; do [ ! -e "$file" ] || others="$others ${file##*/}>&-"; done
[ ! "$others" ] || stop "sh cannot close descriptors above 9: in bash, first type: exec$others""#;

/// A line that ends a here-document, and is not in its text.
pub(super) fn delimiter(text: &[u8]) -> Vec<u8> {
    let mut end = b"END".to_vec();
    while bytes::split(text, b'\n').any(|line| line == end) {
        end.put(b"_");
    }
    end
}

/// Puts `template` with the `parts` in it: `~` stands for the next one as a word of a shell, `^` for the next one as it is.
pub(super) fn fill(out: &mut Vec<u8>, template: &str, parts: &[&[u8]]) {
    let mut parts = parts.iter();
    for byte in template.bytes() {
        match byte {
            b'~' => put_word(out, parts.next().copied().unwrap_or_default()),
            b'^' => out.put(parts.next().copied().unwrap_or_default()),
            _ => out.put(&[byte]),
        }
    }
}

/// Puts a word of a shell, in quotes if it needs them.
pub fn put_word(out: &mut Vec<u8>, word: &[u8]) {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-:=,+@%".contains(b);
    if !word.is_empty() && word.iter().all(is_plain) {
        return put_with_unknowns(word, out);
    }
    out.push(b'\'');
    for byte in word {
        match byte {
            b'\'' => out.put(b"'\\''"),
            _ => out.put(&[*byte]),
        }
    }
    out.push(b'\'');
}

/// Appends to a list with commas.
pub(super) fn put_item(list: &mut Vec<u8>, item: &[u8]) {
    list.put(if list.is_empty() { b"" } else { b"," });
    list.put(item);
}
