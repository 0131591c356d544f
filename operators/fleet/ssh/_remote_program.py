r"""The program that runs a probe on its target, in the language of every POSIX shell.

It is sent to standard input, since nothing is installed there; the command line that is executed
is always `LAUNCHER`, which reads the program up to a line that the first one names. After that line
comes the program for those that have Perl (see `_perl_program`), up to the same line. `LAUNCHER`
holds nothing that sh, csh or fish understand differently, as a login shell may be any of them.

Its processes tell each other what happens by lines in one pipe, and `finish` decides:

    sleep ── late ──┐                         stdin of the session
    read ── gone ───┤                          └─ read sees its end: the coordinator is gone
    run ─── pid, done, over ──▶ finish ──▶ kills, removes, writes the trailer
    cap ─── out, err ─┘
     ▲ └──▶ stdout, stderr of the session, up to the limit; the rest is counted
     └ the probe, in a session of its own

File descriptors: 3 the probe's stderr, 5 the pipe of lines, 6, 7 and 8 those of the session.
"""

from __future__ import annotations

from functools import cache

__all__ = ["LAUNCHER", "program"]

LAUNCHER = (
    """test -x /usr/bin/perl && exec /usr/bin/perl -e 'RUN:for(;;){sysread STDIN,$p,65536,"""
    r"""length$p or exit until$p=~/^(#\S+\n).*?^\1(.*?^)\1/ms;eval$2;die$@}'"""
    """ || exec /bin/sh -c 'n=$(printf "\\nx");n=${n%x};p=;IFS= read -r e;"""
    """while IFS= read -r l;do case $l in "$e")break;;esac;p=$p$l$n;done;eval "$p"'"""
)

# Set by those who send it: m the marker, k the cookie in the environment of the probe, l its limit
# in seconds, o the bytes of output that are sent, x whether it wants to be alone, w whether it has
# to be modest, b the bytes of the script (0: none), f its name, c the command.
_PROGRAM = r"""
export LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
# `kill -KILL -1234` is what all shells take: dash wants no `--` here, and busybox none at all.
# Whoever leads a group can end all that is in it. sshd sees to that; another server may not.
g=; kill -0 "-$$" 2>/dev/null && g=1
own=; command -v setsid >/dev/null 2>&1 && own=setsid
[ -z "$g" ] && [ -n "$own" ] && [ -z "$again" ] && exec setsid /bin/sh -c "again=1;e='$e';$p"
if [ -z "$own" ] && command -v perl >/dev/null 2>&1; then
  own='perl -MPOSIX -e setsid;exec(@ARGV)'
fi
printf '%s begin\n' "$m"; printf '%s begin\n' "$m" >&2
refuse() {
  printf '%s end %s - - - - - - - %s\n' "$m" "$1" "$2"; printf '%s end\n' "$m" >&2; exit 0
}
if [ "$x" = 1 ]; then
  a=$(who 2>/dev/null) || refuse exclusive '?'
  a=$(printf '%s\n' "$a" | while read -r u _; do printf '%s ' "$u"; done)
  [ "$a" = ' ' ] || refuse exclusive "$a"
fi
d=
if [ "$b" -gt 0 ]; then
  # Before it comes the program for those that have Perl.
  while IFS= read -r a; do [ "$a" != "$e" ] || break; done
  u=$(umask); umask 077
  for a in "$TMPDIR" /tmp /var/tmp /dev/shm "$HOME"; do
    [ -n "$a" ] && mkdir "$a/thalweg.$k" 2>/dev/null || continue
    d=$a/thalweg.$k
    # A folder may be full, or mounted so that nothing in it can be run.
    { printf '#!/bin/sh\nexit 0\n' >"$d/t" && chmod 700 "$d/t" && "$d/t"; } 2>/dev/null && break
    rm -rf "$d"; d=
  done
  [ -n "$d" ] || refuse failed 'no folder there takes a script and lets it run'
  if [ "$(printf ab | head -c 1 2>/dev/null)" = a ]; then head -c "$b" >"$d/$f"
  else dd bs=1 count="$b" >"$d/$f" 2>/dev/null; fi
  if [ "$(($(wc -c <"$d/$f")))" -ne "$b" ]; then
    rm -rf "$d"; refuse failed 'the script did not arrive as a whole'
  fi
  rm -f "$d/t"; chmod 700 "$d/$f"; umask "$u"
fi
# To start a program is most of what all this costs there: so few are, and none to try whether it
# works. The probe's own shell asks for the disk's patience, and does without where it gets none.
low=
if [ "$w" = 1 ]; then
  command -v nice >/dev/null 2>&1 && low='nice -n 19'
  command -v ionice >/dev/null 2>&1 && c="ionice -c 3 -p \$\$ >/dev/null 2>&1
$c"
fi
now() { if [ -r /proc/uptime ]; then read -r t _ </proc/uptime; else t=$(date +%s); fi; }
run() {
  THALWEG_PROBE=$k THALWEG_SCRIPT=$d/$f $own $low /bin/sh -c "$c" </dev/null 2>&3 3>&- 5>&- &
  q=$!; echo "pid $q" >&5
  wait "$q" 2>/dev/null; s=$?
  # What the probe left behind may hold its output open: nobody waits for that for long.
  { echo "done $s" >&5; sleep 1; echo over >&5; sleep 1; echo over >&5; } >/dev/null 3>&- &
}
take() { head -c "$o"; }
[ -r /proc/uptime ] || [ "$(printf ab | head -c 1 2>/dev/null)" = a ] || take() { cat; }
cap() { take; echo "$1 $(($(wc -c)))" >&5; }
halt() {
  if [ -n "$own" ]; then kill -KILL "-$q"; fi
  # Asked to end before it had its session, or where there are none.
  [ -n "$s" ] || kill -KILL "$q"
}
hunt() {
  # On Linux the environment finds also what has made a session of its own.
  [ -r /proc/self/environ ] || return
  for a in $(grep -ls "THALWEG_PROBE=$k" /proc/[0-9]*/environ); do
    a=${a#/proc/}; kill -KILL "${a%/environ}"
  done
}
leave() {
  [ -z "$d" ] || rm -rf "$d"
  [ "$1" = gone ] || { printf '%s end\n' "$m" >&8; printf '%s\n' "$2" >&7; }
  [ -z "$g" ] || kill -KILL "-$$"
  kill $y
  exit
}
finish() {
  v=; s=; q=; oo=; oe=; n=0; y=
  while read -r a r; do
    case $a in
      aid) y="$y $r" ;;
      pid) q=$r ;;
      late) [ -n "$v" ] || { v=late; halt; hunt; } ;;
      gone) v=gone ;;
      done) now; t1=$t; s=$r; [ "$v" != late ] || hunt; [ -n "$v" ] || v=ran; halt ;;
      out) oo=$r ;;
      err) oe=$r ;;
      over) n=$((n + 1)); hunt ;;
    esac
    if [ "$v" = gone ] && [ -n "$q" ]; then halt; hunt; leave gone; fi
    [ -n "$s" ] || continue
    if [ "$n" -ge 2 ]; then break; fi
    if [ -n "$oo" ] && [ -n "$oe" ]; then break; fi
  done
  a=-; [ "$s" -le 128 ] || a=$(kill -l "$s") || a=-
  leave "$v" "$m end $v $s ${a:--} $t0 $t1 ${oo:--} ${oe:--} $n"
}
[ -n "$g" ] || { kill -0 "-$$" 2>/dev/null && g=1; }
now; t0=$t
exec 6<&0 7>&1 8>&2 </dev/null 2>/dev/null
{
  exec 5>&1
  { sleep "$l" 5>&-; echo late; } 6<&- 7>&- 8>&- &
  echo "aid $!"
  { while read -r a; do :; done <&6; echo gone; } 7>&- 8>&- &
  echo "aid $!"
  exec 6<&-
  ( { exec 7>&- 8>&-; run; } | cap out >&7 3>&- 8>&- ) 3>&1 | cap err >&8 7>&- 3>&-
} | finish
"""


@cache
def program() -> str:
    """The program without its comments, as it is sent."""
    lines = (line.strip() for line in _PROGRAM.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#")) + "\n"
