#!/bin/sh
# Makes a Swift 6 toolchain in a root of its own, on Debian as root, where the system has none:
#
#     xtask/swift-toolchain.sh FOLDER
#
# FOLDER/root is a minimal Debian trixie with its package swiftlang; nothing is installed outside of FOLDER. FOLDER/in-swift then runs
# a command with it: `in-swift DIR COMMAND ..` in DIR, which the command sees at its own path. What is complete is left as it is. Where
# it cannot be made, the last line says why.
set -eu
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
top=$(cd "$1" && pwd)
root=$top/root

# One run at a time in this folder.
if command -v flock >/dev/null; then
    exec 9>"$top/lock"
    flock 9
fi

# A folder that was made by another version of this recipe is made anew.
recipe=$(cksum <"$0")
[ "$(cat "$top/complete" 2>/dev/null)" != "$recipe" ] || exit 0

give_up() { echo "$1"; exit 1; }
[ "$(id -u)" = 0 ] || give_up "Swift is put into a root of its own, which takes the rights of root; or install Swift 6 in the search path"
command -v apt-get >/dev/null || give_up "Swift is made of Debian's packages, and this system has no apt-get; install Swift 6 in the search path"
[ "$(dpkg --print-architecture)" = amd64 ] || give_up "Swift is made of packages for x86-64 machines; install Swift 6 in the search path"
if ! command -v debootstrap >/dev/null; then
    apt-get update -q && apt-get install -y -q --no-install-recommends debootstrap || give_up "debootstrap is not here and cannot be installed"
fi

# The archive that this system gets its packages from.
archive=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
    sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' | grep '/debian/*$' | head -n 1)
[ -n "$archive" ] || give_up "Swift is made of Debian's packages, and this system names no archive of them"

rm -rf "$root"
debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$archive"
for settings in /etc/apt/apt.conf.d/*proxy*; do
    [ ! -e "$settings" ] || cp "$settings" "$root/etc/apt/apt.conf.d/"
done
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
unshare -m sh -ec '
    mount --make-rprivate /
    mount -t proc proc "$1/proc"
    export DEBIAN_FRONTEND=noninteractive
    chroot "$1" apt-get update -q
    chroot "$1" apt-get install -y -q --no-install-recommends swiftlang libc6-dev libstdc++-14-dev
    chroot "$1" apt-get clean
' sh "$root"

cat >"$top/in-swift" <<'IN'
#!/bin/sh
set -eu
root=$(cd "$(dirname "$0")" && pwd)/root
dir=$(cd "$1" && pwd)
shift
exec unshare -m sh -ec '
    root=$1 dir=$2
    shift 2
    mount --make-rprivate /
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mkdir -p "$root$dir"
    mount --rbind "$dir" "$root$dir"
    exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/usr/libexec/swift/bin:/usr/bin:/bin \
        sh -ec "cd \"\$1\"; shift; exec \"\$@\"" sh "$dir" "$@"
' sh "$root" "$dir" "$@"
IN
chmod +x "$top/in-swift"
echo "$recipe" >"$top/complete"
