r"""The program that runs a probe on its target where there is Perl.

It does what `_remote_program` does in the language of the shell, and tells it in the same lines.
But one process is all that it takes beside the probe, where the shell takes a dozen: on a small
machine that is most of what a probe costs.

It is one loop, which waits for whichever comes first: the end of standard input (the coordinator is
gone), output of the probe, room for it on the way to the coordinator, the end of the probe, its
limit, and that of the patience with those that hold its output open. It uses no module: to load one
takes longer than all the rest.

When a run is over it stays for the next one on the same connection, which then costs no more than
the probe itself, and ends with standard input.
"""

from __future__ import annotations

from functools import cache

__all__ = ["perl_program"]

# Set by those who send it, for each run: what `_remote_program` has, under the same names. `$p` is
# what has come of standard input; the match that found this program ends before the script.
_KNOWN = r"""
$ENV{LC_ALL} = 'C';
$ENV{PATH} .= ':/usr/local/sbin:/usr/sbin:/sbin';
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { $dead = 1 };
$SIG{$_} = \&gone for 'TERM', 'INT', 'HUP';
sub now {
  open my $h, '<', '/proc/uptime' or return time;
  return (split ' ', <$h>)[0];
}
sub put {
  my ($h, $text) = @_;
  while (length $text) {
    my $n = syswrite $h, $text;
    # A signal that comes meanwhile (EINTR) is no reason to give up.
    return if !defined $n && $! != 4;
    substr($text, 0, $n || 0) = '';
  }
}
sub begin {
  $p = substr $p, $_[0];
  $d = $q = $s = undef;
  put(STDOUT, "$m begin\n");
  put(STDERR, "$m stays\n$m begin\n");
}
sub over {
  system 'rm', '-rf', $d if defined $d;
  put(STDERR, "$m end\n");
  put(STDOUT, "$m end $_[0]\n");
  $p = '';
  # In what has started this program: the next run is waited for.
  next RUN;
}
sub refuse { over("$_[0] - - - - - - - $_[1]") }
sub halt {
  kill 'KILL', -$q;
  # Asked to end before it had its group.
  kill 'KILL', $q unless defined $s;
}
# Seldom called, so it is read only then. On Linux the environment finds also what has made a group
# of its own.
$hunt = q{
  opendir my $all, '/proc' or return;
  for my $id (grep /^\d+$/, readdir $all) {
    open my $h, '<', "/proc/$id/environ" or next;
    local $/;
    kill 'KILL', $id if index("\0" . <$h>, "\0THALWEG_PROBE=$k\0") >= 0;
  }
};
sub hunt { eval $hunt }
sub gone {
  if ($q) { halt(); hunt() }
  system 'rm', '-rf', $d if defined $d;
  exit 0;
}
sub run {
  pipe my $out, my $out_there or refuse('failed', "no pipe can be made there: $!");
  pipe my $err, my $err_there or refuse('failed', "no pipe can be made there: $!");
  $dead = 0;
  my $t0 = now();
  $q = fork;
  defined $q or refuse('failed', "no process can be started there: $!");
  if (!$q) {
    $SIG{$_} = 'DEFAULT' for 'PIPE', 'CHLD', 'TERM', 'INT', 'HUP';
    setpgrp 0, 0;
    modest() if $w;
    $ENV{THALWEG_PROBE} = $k;
    $ENV{THALWEG_SCRIPT} = (defined $d ? $d : '') . "/$f";
    open STDIN, '<', '/dev/null';
    open STDOUT, '>&', $out_there;
    open STDERR, '>&', $err_there;
    exec '/bin/sh', '-c', $c;
    exit 127;
  }
  setpgrp $q, $q;
  close $out_there;
  close $err_there;
  my %from = (0, $out, 1, $err);
  my @to = (STDOUT, STDERR);
  my @kept = ('', '');
  my @room = ($o, $o);
  my @dropped = (0, 0);
  my $over = 0;
  my $pause = 0.005;
  # So many bytes can be written without waiting where there is room for any.
  my $step = $^O eq 'linux' ? 4096 : 512;
  my ($v, $t1);
  for (;;) {
    my $t = now();
    if ($dead && !defined $s) {
      waitpid $q, 0;
      $s = $? & 127 ? 128 + ($? & 127) : $? >> 8;
      hunt() if $v;
      halt();
      $v ||= 'ran';
      $t1 = $t;
    } elsif (!$v && $t >= $t0 + $l) {
      $v = 'late';
      halt();
      hunt();
    }
    if (defined $s) {
      # What the probe left behind may hold its output open: nobody waits for that for long.
      if (%from && $t >= $t1 + $over + 1) {
        hunt();
        %from = () if ++$over > 1;
      }
      last unless %from || length "$kept[0]$kept[1]";
    }
    my ($read, $write) = ('', '');
    vec($read, 0, 1) = 1;
    for (0, 1) {
      if (length $kept[$_]) { vec($write, $_ + 1, 1) = 1 }
      elsif ($from{$_}) { vec($read, fileno $from{$_}, 1) = 1 }
    }
    my $wait = $v ? 1 : $t0 + $l - $t;
    $wait = 1 if $wait > 1;
    # A signal that comes just before this is heard only after it.
    if (!%from && !defined $s && $pause < $wait) { $wait = $pause; $pause *= 2 }
    next if 1 > select $read, $write, undef, $wait;
    if (vec $read, 0, 1) { sysread STDIN, $p, 65536 or gone() }
    for (0, 1) {
      if (vec $write, $_ + 1, 1) {
        my $n = syswrite $to[$_], $kept[$_], $step;
        substr($kept[$_], 0, defined $n ? $n : length $kept[$_]) = '';
      } elsif ($from{$_} && vec $read, fileno $from{$_}, 1) {
        my $n = sysread $from{$_}, $p, 65536 or delete $from{$_}, next;
        $kept[$_] = substr $p, 0, $room[$_];
        $room[$_] -= length $kept[$_];
        $dropped[$_] += $n - length $kept[$_];
      }
    }
  }
  my $name = '-';
  if ($s > 128) {
    require Config;
    $name = (split ' ', $Config::Config{sig_name})[$s - 128] || '-';
  }
  over("$v $s $name $t0 $t1 @dropped $over");
}
"""
_BEGIN = r"""
begin($+[0]);
"""
_EXCLUSIVE = r"""
@users = map /^(\S+)/, `who 2>/dev/null`;
refuse('exclusive', '?') if $?;
refuse('exclusive', "@users") if @users;
"""
_SCRIPT = r"""
sub place {
  my ($name, $text) = @_;
  open my $h, '>', "$d/$name" or return;
  return print($h $text) && close($h) && chmod 0700, "$d/$name";
}
while (length $p < $b) {
  sysread(STDIN, $p, 65536, length $p) or refuse('failed', 'the script did not arrive as a whole');
}
$mask = umask 077;
for (grep length, $ENV{TMPDIR}, '/tmp', '/var/tmp', '/dev/shm', $ENV{HOME}) {
  mkdir $d = "$_/thalweg.$k" or undef $d, next;
  # A folder may be full, or mounted so that nothing in it can be run.
  last if place('t', "#!/bin/sh\nexit 0\n") && !system("$d/t") && unlink("$d/t")
    && place($f, substr $p, 0, $b);
  system 'rm', '-rf', $d;
  undef $d;
}
umask $mask;
defined $d or refuse('failed', 'no folder there takes a script and lets it run');
"""
_MODEST = r"""
sub modest {
  setpriority 0, 0, getpriority(0, 0) + 19;
  # What `ionice -c 3` asks for; the number of that call is another for each kind of processor.
  open my $h, '<', '/proc/self/exe' or return;
  sysread $h, my $head, 20;
  my %calls = (3, 289, 22, 282, 40, 314, 62, 251, 183, 30, 243, 30);
  my $call = $calls{unpack 'S', substr $head, 18};
  syscall $call, 1, 0, 3 << 13 if $call;
}
"""
_RUN = r"""
run();
"""


def perl_program(settings: dict[str, str], *, again: bool = False) -> str:
    """The program for these settings, as it is sent.

    With `again`, for one that stays from the run before, and so knows what all runs need.
    """
    needed = {_EXCLUSIVE: "x", _SCRIPT: "b", _MODEST: "w"}
    assigned = (f"${name}={_quoted(text)};\n" for name, text in settings.items())
    parts = ("" if again else _KNOWN, _BEGIN, _EXCLUSIVE, _SCRIPT, _MODEST, _RUN)
    given = (_bare(part) for part in parts if settings.get(needed.get(part, "")) != "0")
    return "".join((*assigned, *given))


@cache
def _bare(part: str) -> str:
    """Without its comments."""
    lines = (line.strip() for line in part.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
