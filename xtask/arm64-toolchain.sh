#!/bin/sh
# Makes a toolchain that builds for 64-bit ARM Linux and runs what it built under emulation:
#
#     xtask/arm64-toolchain.sh FOLDER
#
# Debian's packages are downloaded with an apt state of their own and unpacked into FOLDER; nothing is installed, and nothing
# outside of FOLDER is touched. FOLDER/bin then holds rustc, rustdoc, clippy, and, named arm64-, cc, ar, and run, which runs an ARM
# program. What is complete is left as it is. Where it cannot be made, the last line says why.
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
keys=/usr/share/keyrings/debian-archive-keyring.gpg
for tool in apt-get apt-cache dpkg; do
    command -v "$tool" >/dev/null || give_up "the toolchain is made of Debian's packages, and this system has no $tool"
done
[ "$(dpkg --print-architecture)" = amd64 ] || give_up "the toolchain is made for x86-64 machines only"
[ -e "$keys" ] || give_up "the toolchain is made of Debian's packages, and this system lacks their keys, $keys"

# The archives that this system gets its packages from.
archives() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n -e 's/^URIs: *\([^ ]*\).*/\1/p' -e 's/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p'
}
archive=$(archives | grep '/debian/*$' | head -n 1)
[ -n "$archive" ] || give_up "the toolchain is made of Debian's packages, and this system names no archive of them"
security=$(archives | grep '/debian-security/*$' | head -n 1)
security=${security:-${archive%/debian*}/debian-security}

# suites ARCHITECTURE SUITE ..: an apt state that knows these suites and no installed package; APT_CONFIG names it from here on.
suites() {
    state=$top/apt/$1-$2
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : >"$state/status"
    cat >"$state/apt.conf" <<CONFIG
APT::Architecture "$1";
APT::Architectures { "$1"; };
APT::Sandbox::User "root";
Dir::State "$state";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Dir::Etc::sourcelist "$state/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::parts "/dev/null";
CONFIG
    architecture=$1
    shift
    for suite; do
        case $suite in *-security) from=$security ;; *) from=$archive ;; esac
        echo "deb [arch=$architecture signed-by=$keys] $from $suite main"
    done >"$state/sources.list"
    export APT_CONFIG="$state/apt.conf"
    apt-get -q update || give_up "the lists of Debian's packages could not be fetched"
}

# depends PACKAGE PATTERN: the package that PACKAGE depends on and whose name begins so; these names carry versions.
depends() { apt-cache depends "$1" | sed -n "s/^ *Depends: *\($2[^ ]*\)\$/\1/p" | head -n 1; }

# unpack PACKAGE ..: into the root.
unpack() {
    mkdir -p "$top/packages"
    (cd "$top/packages" && apt-get -q download "$@") || give_up "Debian's packages could not be fetched"
    for package in "$top"/packages/*.deb; do dpkg -x "$package" "$root"; done
    rm -r "$top/packages"
}

rm -rf "$root" "$top/bin" "$top/apt" "$top/packages" "$top/complete"
mkdir -p "$root" "$top/bin"

# The compiler with its linter, and the standard library for this machine, on which build scripts run.
suites amd64 bookworm bookworm-updates bookworm-security
std=$(depends rustc-web libstd-rust-web-dev)
std=$(depends "${std:-libstd-rust-web-dev}" libstd-rust-web-)
llvm=$(depends "$std" libllvm)
unpack rustc-web rust-web-clippy libstd-rust-web-dev "$std" "$llvm" \
    gcc-12-aarch64-linux-gnu gcc-12-aarch64-linux-gnu-base cpp-12-aarch64-linux-gnu gcc-12-cross-base binutils-aarch64-linux-gnu \
    libc6-arm64-cross libc6-dev-arm64-cross linux-libc-dev-arm64-cross libgcc-12-dev-arm64-cross libgcc-s1-arm64-cross
# The standard library for ARM must be that of the very same compiler.
suites arm64 bookworm-security
unpack libstd-rust-web-dev "$std"
# The emulator of the next release, which knows more instructions.
suites amd64 trixie
unpack qemu-user

# The linker script of the C library names folders of an installed system.
sed -i 's#/usr/aarch64-linux-gnu/lib/##g' "$root/usr/aarch64-linux-gnu/lib/libc.so"

# program NAME COMMAND: a program that runs COMMAND with the libraries of the root.
program() {
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "'$root/usr/lib/x86_64-linux-gnu'" "$2" >"$top/bin/$1"
    chmod +x "$top/bin/$1"
}
for tool in rustc rustdoc cargo-clippy clippy-driver; do program "$tool" "'$root/usr/bin/$tool'"; done
program arm64-ar "'$root/usr/bin/aarch64-linux-gnu-ar'"
program arm64-cc "'$root/usr/bin/aarch64-linux-gnu-gcc-12' --sysroot='$root'"
# The emulator needs no library, and what it runs must not look for its own among them.
printf '#!/bin/sh\nexec %s -L %s "$@"\n' "'$root/usr/bin/qemu-aarch64'" "'$root/usr/aarch64-linux-gnu'" >"$top/bin/arm64-run"
chmod +x "$top/bin/arm64-run"

echo 'int main(void) { return 0; }' >"$top/apt/probe.c"
"$top/bin/arm64-cc" -o "$top/apt/probe" "$top/apt/probe.c" && "$top/bin/arm64-run" "$top/apt/probe" || give_up "an ARM program cannot be made or run here"
"$top/bin/rustc" --version || give_up "Debian's rustc does not start here"
rm -r "$top/apt"
echo "$recipe" >"$top/complete"
