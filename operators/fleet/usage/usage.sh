#!/bin/sh
# What a Linux machine is and does, as lines of key=value; sizes are in units of 1024 bytes, traffic
# in bytes, times in seconds. It asks /proc and /sys, and starts few programs: it is over in less
# than 100 ms. A value may have several words, the last of which is whatever remains.
#
# THALWEG_USAGE_ROOT is a folder to look into instead of /, for tests.

LC_ALL=C TZ=UTC0 PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL TZ PATH
root=${THALWEG_USAGE_ROOT:-}
proc=$root/proc sys=$root/sys

if [ ! -r "$proc/uptime" ] || [ ! -r "$proc/stat" ]; then
    echo "this is no Linux: there is no $proc/uptime or $proc/stat" >&2
    exit 3
fi

# The words of a file's first line, or nothing.
first() {
    found=
    [ -r "$1" ] && read -r found <"$1" 2>/dev/null
    [ -n "$found" ]
}

echo usage=1
first "$proc/sys/kernel/random/boot_id" && echo "boot_id=$found"
first "$proc/sys/kernel/osrelease" && echo "kernel=$found"

# Only as far as needed: to make all of this file takes long where there are many processors.
cpu=
[ -r "$proc/cpuinfo" ] && while read -r key rest; do
    case $key:$rest in
    "model:name"*) cpu=${rest#*: } && break ;;
    ":") break ;;
    esac
done <"$proc/cpuinfo"
[ -n "$cpu" ] || { first "$proc/device-tree/model" && cpu=$found; } 2>/dev/null
[ -n "$cpu" ] || cpu=$(uname -m)
echo "cpu=$cpu"

set -- "$proc/uptime" "$proc/stat"
for file in "$proc/meminfo" "$proc/net/dev" "$root/etc/os-release"; do
    [ -r "$file" ] && set -- "$@" "$file"
done
awk '
    FNR == 1 { file = FILENAME; sub(".*/", "", file) }
    file == "uptime" && FNR == 1 { print "uptime=" $1; print "idle=" $2 }
    file == "stat" && /^cpu[0-9]/ { cpus++ }
    file == "stat" && $1 == "btime" { print "boot=" $2 }
    file == "meminfo" && $1 == "MemTotal:" { print "memory=" $2 }
    file == "meminfo" && $1 == "MemFree:" { free = $2 }
    file == "meminfo" && $1 == "MemAvailable:" { free = $2 }
    file == "meminfo" && $1 == "SwapTotal:" { print "swap=" $2 }
    file == "meminfo" && $1 == "SwapFree:" { print "swap_free=" $2 }
    file == "dev" && FNR > 2 {
        at = index($0, ":")
        name = substr($0, 1, at - 1)
        gsub(" ", "", name)
        split(substr($0, at + 1), counts, " ")
        if (at && name != "lo") print "traffic=" name " " counts[1] " " counts[9]
    }
    file == "os-release" && /^(NAME|VERSION|VERSION_ID)=/ {
        key = $0; sub("=.*", "", key)
        value = $0; sub("[^=]*=", "", value); gsub("[\"\047]", "", value)
        release[key] = value
    }
    END {
        print "cpus=" cpus
        if (free != "") print "memory_free=" free
        print "os=" release["NAME"]
        print "os_version=" (release["VERSION"] ? release["VERSION"] : release["VERSION_ID"])
    }
' "$@"

# When the root was made; where the file system does not tell, when the machine got its name.
stat -c '%W %Y' "$root/" "$root/etc/machine-id" 2>/dev/null | {
    read -r made _
    read -r _ named
    case $made in '' | 0 | *[!0-9]*) made=$named ;; esac
    case $made in '' | *[!0-9]*) ;; *) echo "os_installed=$made" ;; esac
}

smart=
command -v smartctl >/dev/null 2>&1 && smart=yes
for path in "$sys"/block/*; do
    [ -e "$path/device" ] && first "$path/size" && size=$found || continue
    first "$path/removable" && [ "$found" != 0 ] && continue
    case $size in 0 | *[!0-9]*) continue ;; esac
    disk=${path##*/}
    first "$path/device/model"
    echo "disk=$disk $((size / 2)) $found"
    [ -n "$smart" ] && [ -r "$root/dev/$disk" ] || continue
    # One that sleeps is not woken.
    smartctl -n standby -A "$root/dev/$disk" 2>/dev/null | awk -v disk="$disk" '
        $1 == 4 && NF >= 10 { starts = $10 }
        $1 == 9 && NF >= 10 { hours = $10 }
        /^Power Cycles:/ { starts = $3 }
        /^Power On Hours:/ { hours = $4 }
        END {
            gsub(",", "", starts); sub("[^0-9].*", "", starts)
            gsub(",", "", hours); sub("[^0-9].*", "", hours)
            if (starts hours != "")
                print "smart=" disk " " (starts == "" ? "-" : starts) " " (hours == "" ? "-" : hours)
        }
    '
done

for path in "$sys"/class/net/*; do
    name=${path##*/}
    [ -e "$path" ] && [ "$name" != lo ] || continue
    kind=virtual
    [ -e "$path/device" ] && kind=physical
    first "$path/address"
    echo "interface=$name $kind $found"
done

# Disks of this machine only: to ask for those of another may take for ever.
set --
seen=" "
[ -r "$proc/mounts" ] && while read -r device mount type _; do
    case $mount in *\\*) continue ;; esac
    case $mount:$type in
    /:*) ;;
    *:ext[234] | *:xfs | *:btrfs | *:zfs | *:f2fs | *:jfs | *:bcachefs | *:vfat | *:ntfs*) ;;
    *) continue ;;
    esac
    case $seen in *" $device "* | *" $mount "*) continue ;; esac
    seen="$seen$device $mount "
    set -- "$@" "$mount"
    [ $# -lt 64 ] || break
done <"$proc/mounts"
[ $# -eq 0 ] || df -Pk "$@" 2>/dev/null | while read -r _ total _ free _ mount; do
    case $total$free in *[!0-9]*) ;; *) echo "filesystem=$total $free $mount" ;; esac
done

if { [ -e "$root/run/utmp" ] || [ -e "$root/var/run/utmp" ]; } && command -v who >/dev/null 2>&1; then
    echo sessions=known
    who | while read -r user line since; do
        echo "session=$user $line ${since%%(*}"
    done
elif [ -d "$root/run/systemd/sessions" ]; then
    echo sessions=known
    for path in "$root"/run/systemd/sessions/*; do
        user='' line='' since='' class=''
        [ -r "$path" ] && while IFS='=' read -r key value; do
            case $key in
            USER) user=$value ;;
            TTY) line=$value ;;
            DISPLAY) [ -n "$line" ] || line=$value ;;
            CLASS) class=$value ;;
            REALTIME) since=${value%??????} ;;
            esac
        done <"$path"
        # Without a line it is a command that is run, such as this one.
        [ "$class" = user ] && [ -n "$line" ] && echo "session=$user $line @$since"
    done
else
    echo sessions=unknown
fi

echo end=1
