#!/bin/sh
# Builds and inspects what goes to Android without the Android SDK and NDK:
#
#     xtask/android-check.sh KIT WORK GENERATOR LIBRARIES
#
# KIT is a folder with android-so.sh, apk/pom.xml and compose/pom.xml, which bring a linker for checks and the tools of Android that
# package registries have; WORK is where everything is put; GENERATOR is uniffi's generator of bindings, and LIBRARIES the folder with the
# native library for this machine. What comes out is for inspection: releases are made with the NDK and Gradle. Prints a line for each check, `passed
# NAME` or `failed NAME: why`, and ends with 1 where a step cannot be done at all.
set -eu
[ $# = 4 ] || { echo "usage: $0 KIT WORK GENERATOR LIBRARIES" >&2; exit 2; }
kit=$(cd "$1" && pwd)
mkdir -p "$2"
work=$(cd "$2" && pwd)
generator=$3
libraries=$4
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${TC_DIR:-$HOME/.cache/kinglet-toolchain}
abis="aarch64=arm64-v8a x86_64=x86_64"

check() { # NAME WHY-IF-NOT COMMAND ..
    name=$1 why=$2
    shift 2
    if "$@" >"$work/last" 2>&1; then echo "passed $name"; else echo "failed $name: $why"; cat "$work/last"; fi
}

command -v aapt2 >/dev/null && command -v apksigner >/dev/null && command -v dexdump >/dev/null || {
    apt-get update -q
    apt-get install -y -q --no-install-recommends aapt apksigner dexdump
} >"$work/apt.log" 2>&1

# Libraries

sh "$kit/android-so.sh" >"$work/so.log"
. "$cache/android/env"
# tract brings assembly, for which any assembler of the processor does.
export CC_aarch64_linux_android="$cache/arm64/bin/aarch64-linux-gnu-gcc" AR_aarch64_linux_android="$cache/arm64/bin/aarch64-linux-gnu-ar"
export CC_x86_64_linux_android=gcc AR_x86_64_linux_android=ar
export CARGO_TARGET_DIR="$work/target"
cd "$root"
for pair in $abis; do
    arch=${pair%=*} abi=${pair#*=}
    cargo build --quiet --release -p kinglet-ffi --features jni -Zbuild-std=std,panic_unwind --target "$arch-linux-android"
    so=$work/jni/$abi/libkinglet_ffi.so
    mkdir -p "$work/jni/$abi"
    built=$work/target/$arch-linux-android/release/libkinglet_ffi.so
    if [ "$arch" = aarch64 ]; then "$cache/arm64/bin/aarch64-linux-gnu-strip" -o "$so" "$built"; else strip -o "$so" "$built"; fi
    readelf -hW "$so" >"$work/$abi.header"
    readelf -dW "$so" >"$work/$abi.dynamic"
    readelf -lW "$so" >"$work/$abi.segments"
    nm -D --undefined-only "$so" | awk '{ sub(/@.*/, "", $2); print $2 }' | sort -u >"$work/$abi.undefined"
    awk '$1 != "#" && $1 != "" { print $5 }' "$kit/android/bionic-symbols.txt" | sort -u >"$work/bionic"
    check "$abi loads in pages of 16 KiB" "a LOAD segment has another alignment" \
        sh -c "awk '\$1 == \"LOAD\" { n++; if (\$NF != \"0x4000\") bad = 1 } END { exit !n || bad }' '$work/$abi.segments'"
    check "$abi needs libc, libm, libdl, liblog and nothing else" "$(grep NEEDED "$work/$abi.dynamic" || true)" \
        sh -c "! grep NEEDED '$work/$abi.dynamic' | grep -vE '\[(libc|libm|libdl|liblog)\.so\]'"
    check "$abi has no text relocations" "it has" sh -c "! grep -qE 'TEXTREL' '$work/$abi.dynamic'"
    check "$abi every undefined symbol is one of bionic's public ones" "see above" \
        sh -c "comm -23 '$work/$abi.undefined' '$work/bionic' | tee /dev/stderr | wc -l | grep -qx 0"
    check "$abi has the entry of the JNI path" "Java_dev_kinglet_TextStream_next is missing" \
        sh -c "nm -D --defined-only '$so' | grep -q Java_dev_kinglet_TextStream_next"
    check "$abi has uniffi's entries" "fewer than 50" \
        sh -c "[ \$(nm -D --defined-only '$so' | grep -c uniffi_kinglet_ffi_fn) -ge 50 ]"
done

# What cannot be linked here is checked by the compiler alone; the kit's clang assembles what tract brings.

mkdir -p "$work/bin" "$work/sdk"
for pair in armv7-linux-androideabi=arm-linux-musleabihf aarch64-apple-ios=aarch64-macos; do
    triple=${pair%=*} name=$(echo "${pair%=*}" | tr - _)
    cat >"$work/bin/$triple-cc" <<CC
#!/usr/bin/env python3
import os, sys

zig, kept, given = "$cache/android/zig/ziglang/zig", [], iter(sys.argv[1:])
for argument in given:
    if argument in ("-arch", "-isysroot", "-target"):
        next(given)
    elif not argument.startswith(("--target", "-mios", "-miphone", "-march=")):
        kept.append(argument)
os.execv(zig, [zig, "cc", "-target", "${pair#*=}", *kept])
CC
    chmod +x "$work/bin/$triple-cc"
    export "CC_$name=$work/bin/$triple-cc" "AR_$name=ar"
    check "the core compiles for $triple" "see above" env SDKROOT="$work/sdk" \
        cargo check --quiet -p kinglet-ffi -Zbuild-std=std,panic_unwind --target "$triple"
done

# Jars

fetch() { # POM FOLDER ARGUMENT ..: the dependencies of a pom, once
    pom=$1 folder=$2
    shift 2
    [ -e "$folder/complete" ] && return
    mvn -B -q -f "$pom" dependency:copy-dependencies -DoutputDirectory="$folder" "$@"
    touch "$folder/complete"
}
fetch "$kit/apk/pom.xml" "$work/tools" -Ptools -DincludeScope=runtime
fetch "$kit/apk/pom.xml" "$work/platform" -Pplatform -DincludeScope=runtime
fetch "$kit/apk/pom.xml" "$work/app" -Papp -DincludeScope=runtime
fetch "$kit/compose/pom.xml" "$work/compose"
copy() { [ -e "$2" ] || mvn -B -q dependency:copy -Dartifact="$1" -DoutputDirectory="$(dirname "$2")"; }
plugin=$work/plugin/kotlin-compose-compiler-plugin-embeddable-2.4.21.jar
copy org.jetbrains.kotlin:kotlin-compose-compiler-plugin-embeddable:2.4.21 "$plugin"
copy net.java.dev.jna:jna:5.19.1:aar "$work/jna/jna-5.19.1.aar"
platform=$(ls "$work"/platform/android-all-*.jar)
jdk=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
mkdir -p "$work/jars" "$work/flat" "$work/aar"
for aar in "$work"/compose/*.aar "$work"/jna/*.aar; do
    name=$(basename "$aar" .aar)
    [ -d "$work/aar/$name" ] && continue
    mkdir "$work/aar/$name"
    (cd "$work/aar/$name" && jar xf "$aar")
    [ ! -e "$work/aar/$name/classes.jar" ] || cp "$work/aar/$name/classes.jar" "$work/jars/$name.jar"
    [ -z "$(find "$work/aar/$name/res" -type f 2>/dev/null)" ] || aapt2 compile --dir "$work/aar/$name/res" -o "$work/flat/$name.zip"
done
cp "$work"/compose/*.jar "$work"/app/*.jar "$work/jars/"
jars=$(ls "$work"/jars/*.jar | tr '\n' ':')
kotlin() { # OUT JARS SOURCE ..
    out=$1 path=$2
    shift 2
    rm -rf "$out"
    mkdir -p "$out"
    java -cp "$work/tools/*" org.jetbrains.kotlin.cli.jvm.K2JVMCompiler -no-stdlib -no-reflect -jvm-target 17 -nowarn \
        -Xplugin="$plugin" -classpath "$path$platform" -d "$out" "$@"
}

# The library: an AAR

rm -rf "$work/generated"
"$generator" generate --language kotlin --no-format --out-dir "$work/generated" \
    "$work/target/aarch64-linux-android/release/libkinglet_ffi.so"
library=$root/android/kinglet
kotlin "$work/library" "$jars" "$library/src/main/kotlin" "$library/src/android/kotlin" "$work/generated"
echo "passed the library's Kotlin compiles against Android 14"
rm -rf "$work/aar-out"
mkdir -p "$work/aar-out"
jar cf "$work/aar-out/classes.jar" -C "$work/library" .
printf '<manifest xmlns:android="http://schemas.android.com/apk/res/android" package="dev.kinglet"><uses-sdk android:minSdkVersion="24"/></manifest>\n' \
    >"$work/aar-out/AndroidManifest.xml"
cp "$library/consumer-rules.pro" "$work/aar-out/proguard.txt"
: >"$work/aar-out/R.txt"
cp -r "$work/jni" "$work/aar-out/jni"
(cd "$work/aar-out" && jar cfM "$work/kinglet.aar" .)
check "the AAR holds its classes, rules and a library for each ABI" "see its list" sh -c "
    list=\$(unzip -Z1 '$work/kinglet.aar')
    for part in classes.jar AndroidManifest.xml proguard.txt R.txt jni/arm64-v8a/libkinglet_ffi.so jni/x86_64/libkinglet_ffi.so; do
        echo \"\$list\" | grep -qx \"\$part\" || { echo \"no \$part\"; exit 1; }
    done"

# The sample: an APK

sample=$root/android/sample
rm -rf "$work/assets" "$work/gen" "$work/dex"
mkdir -p "$work/assets/models/goldcrest" "$work/gen" "$work/dex"
cp "$root"/models/goldcrest/* "$work/assets/models/goldcrest/"
sed -e 's|<manifest |<manifest package="dev.kinglet.sample" android:versionCode="1" android:versionName="0.1.0" |' \
    -e 's|<application |<uses-sdk android:minSdkVersion="24" android:targetSdkVersion="34"/><application |' \
    "$sample/src/main/AndroidManifest.xml" >"$work/AndroidManifest.xml"
aapt2 compile --dir "$sample/src/main/res" -o "$work/sample.zip"
packages=$(sed -n 's/.*package="\([^"]*\)".*/\1/p' "$work"/aar/*/AndroidManifest.xml | sort -u | tr '\n' ':')
set --
for resources in "$work"/flat/*.zip; do set -- "$@" -R "$resources"; done
aapt2 link -o "$work/base.apk" -I "$platform" --manifest "$work/AndroidManifest.xml" -A "$work/assets" -0 .onnx -0 .data \
    --auto-add-overlay --java "$work/gen" --extra-packages "${packages%:}" "$@" "$work/sample.zip" 2>"$work/aapt2.log" ||
    { cat "$work/aapt2.log"; exit 1; }
rm -rf "$work/r"
mkdir -p "$work/r"
javac -nowarn -Xlint:-options --release 11 -d "$work/r" $(find "$work/gen" -name R.java)
jar cf "$work/r.jar" -C "$work/r" .
kotlin "$work/sample" "$work/r.jar:$work/aar-out/classes.jar:$jars" "$sample/src/main/kotlin"
jar cf "$work/sample.jar" -C "$work/sample" .
echo "passed the sample's Kotlin compiles with Compose"
{
    cat "$work"/aar/*/proguard.txt "$library/consumer-rules.pro" 2>/dev/null || true
    for jar in "$work"/app/*.jar; do unzip -p "$jar" 'META-INF/proguard/*' 2>/dev/null || true; done
    echo '-keep public class dev.kinglet.sample.MainActivity'
    echo '-keepclasseswithmembernames class * { native <methods>; }'
    echo '-dontwarn android.**' # newer than the platform here
    echo '-dontwarn androidx.window.extensions.**' # parts of the device
    echo '-dontwarn androidx.window.sidecar.**'
} >"$work/rules.pro"
java -Xmx4g -cp "$work/tools/*" com.android.tools.r8.R8 --release --min-api 24 --lib "$platform" --lib "$jdk" --pg-conf "$work/rules.pro" \
    --output "$work/dex" "$work/sample.jar" "$work/r.jar" "$work/aar-out/classes.jar" "$work"/jars/*.jar >"$work/r8.log" 2>&1 ||
    { grep -E 'rror|Missing' "$work/r8.log" | sort -u | head -20; exit 1; }
echo "passed R8 shrinks the sample and misses no class"
set -- "$work/base.apk" "$work/unsigned.apk"
for dex in "$work"/dex/*.dex; do set -- "$@" "$(basename "$dex")=$dex"; done
for pair in $abis; do
    abi=${pair#*=}
    set -- "$@" "lib/$abi/libkinglet_ffi.so=$work/jni/$abi/libkinglet_ffi.so" \
        "lib/$abi/libjnidispatch.so=$work/aar/jna-5.19.1/jni/$abi/libjnidispatch.so"
done
python3 xtask/pack_apk.py "$@"
[ -e "$work/debug.keystore" ] || keytool -genkeypair -keystore "$work/debug.keystore" -storepass android -keypass android \
    -alias debug -keyalg RSA -keysize 2048 -validity 10000 -dname CN=Debug 2>/dev/null
apk=$work/sample.apk
apksigner sign --ks "$work/debug.keystore" --ks-pass pass:android --out "$apk" "$work/unsigned.apk"
check "the APK's signature is right" "see above" apksigner verify "$apk"
aapt2 dump badging "$apk" >"$work/badging"
check "the APK has its name, its activity and its ABIs" "see badging in the work folder" sh -c "
    grep -q \"package: name='dev.kinglet.sample'\" '$work/badging' && grep -qE \"^(minSdk|sdk)Version:'24'\" '$work/badging' &&
    grep -q \"launchable-activity: name='dev.kinglet.sample.MainActivity'\" '$work/badging' &&
    grep -q \"native-code: 'arm64-v8a' 'x86_64'\" '$work/badging'"
check "libraries are stored from multiples of 16 KiB on, the model uncompressed" "see above" python3 - "$apk" <<'PY'
import sys, zipfile

archive, model = zipfile.ZipFile(sys.argv[1]), 0
for entry in archive.infolist():
    archive.fp.seek(entry.header_offset + 26)
    lengths = archive.fp.read(4)
    begins = entry.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    if entry.filename.endswith(".so"):
        assert entry.compress_type == zipfile.ZIP_STORED and begins % 16384 == 0, (entry.filename, begins)
    if entry.filename.startswith("assets/models/goldcrest/model.onnx"):
        assert entry.compress_type == zipfile.ZIP_STORED, entry.filename
        model += 1
assert model == 2, "the model's graph and weights"
PY
check "R8 keeps what native code looks up" "a class is gone" sh -c "
    dexdump '$apk' >'$work/classes' 2>/dev/null
    for class in dev/kinglet/TextStream dev/kinglet/sample/MainActivity com/sun/jna/Native dev/kinglet/ffi/UniffiLib; do
        grep -q \"Class descriptor  : 'L\$class;'\" '$work/classes' || { echo \"no \$class\"; exit 1; }
    done"

# Tests by Robolectric, with the library of this machine

fetch "$root/android/robolectric/pom.xml" "$work/robolectric" -DincludeScope=runtime
runtime=$work/runtime/android-all-instrumented-14-robolectric-10818077-i7.jar
copy org.robolectric:android-all-instrumented:14-robolectric-10818077-i7 "$runtime"
for name in androidx.test:monitor:1.8.0 androidx.test.espresso:espresso-idling-resource:3.7.0; do
    aar=$(echo "$name" | awk -F: '{ print $2 "-" $3 }')
    copy "$name:aar" "$work/test/$aar.aar"
    [ -e "$work/test/$aar.jar" ] || unzip -qp "$work/test/$aar.aar" classes.jar >"$work/test/$aar.jar"
done
tests=$root/android/robolectric/src
own="$work/r.jar:$work/aar-out/classes.jar:$work/sample.jar"
all="$own:$(ls "$work"/robolectric/*.jar "$work"/test/*.jar | tr '\n' ':')$jars"
kotlin "$work/tests" "$all" -Xfriend-paths="$work/aar-out/classes.jar" "$tests"
mkdir -p "$work/tests/com/android/tools"
cat >"$work/tests/com/android/tools/test_config.properties" <<CONFIG
android_resource_apk=$work/base.apk
android_merged_manifest=$work/AndroidManifest.xml
android_custom_package=dev.kinglet.sample
CONFIG
classes=$(cd "$tests" && find . -name '*Test.kt' | sed -e 's|^\./||' -e 's|\.kt$||' -e 's|/|.|g' | sort)
timeout 300 java --add-opens=java.base/java.io=ALL-UNNAMED --add-opens=java.base/java.lang=ALL-UNNAMED \
    --add-opens=java.base/jdk.internal.ref=ALL-UNNAMED -Drobolectric.offline=true \
    -Drobolectric.dependency.dir="$work/runtime" -Djava.library.path="$libraries" -Djna.library.path="$libraries" \
    -Dkinglet.models="$root/models" -Dkinglet.pictures="$work/pictures" -cp "$work/tests:$all$platform" dev.kinglet.RunKt $classes ||
    echo "failed the tests by Robolectric end: they did not within five minutes"

echo
grep -E '^package|^minSdk|^sdkVersion|launchable|native-code' "$work/badging"
ls -l "$apk" "$work/kinglet.aar" "$work"/jni/*/*.so "$work"/dex/*.dex | awk '{ n = split($9, at, "/"); printf "%12d %s/%s\n", $5, at[n-1], at[n] }'
