#!/bin/sh
# Builds the native library for Apple's systems and what uniffi writes for it:
#
#     ios/xcframework.sh
#
# Needs a Mac with Xcode and Rust (rustup). build/KingletFFIHeaders.xcframework then holds a static framework for iOS, its simulator and
# macOS, and Sources/KingletFFI the generated Swift; both are left out of the repository.
set -eu
cd "$(dirname "$0")"
top=$(pwd)
build=$top/build
name=KingletFFIHeaders

command -v xcodebuild >/dev/null || { echo "xcodebuild is not here; install Xcode" >&2; exit 1; }
targets="aarch64-apple-ios aarch64-apple-ios-sim x86_64-apple-ios aarch64-apple-darwin x86_64-apple-darwin"
rustup target add $targets
export IPHONEOS_DEPLOYMENT_TARGET=16.0 MACOSX_DEPLOYMENT_TARGET=13.0 CARGO_TARGET_DIR="$build/target"
for target in $targets; do
    cargo build --release --manifest-path ../Cargo.toml --package kinglet-ffi --target "$target"
done
library() { echo "$CARGO_TARGET_DIR/$1/release/libkinglet_ffi.a"; }

generate() { # ARGUMENT .. FOLDER
    (cd .. && cargo run --quiet --package kinglet-bindgen --bin uniffi-bindgen-swift -- "$@")
}
rm -rf "$build/headers" Sources/KingletFFI
mkdir -p "$build/headers" Sources/KingletFFI
generate --swift-sources "$(library aarch64-apple-darwin)" "$top/Sources/KingletFFI"
generate --headers "$(library aarch64-apple-darwin)" "$build/headers"

# framework KIND MINIMUM-SYSTEM-KEY VERSION LIBRARY ..: a static framework of libraries for several processors
framework() {
    folder=$build/$1/$name.framework
    key=$2 version=$3
    shift 3
    rm -rf "$folder"
    mkdir -p "$folder/Headers" "$folder/Modules"
    lipo -create "$@" -output "$folder/$name"
    cp "$build"/headers/*.h "$folder/Headers/"
    {
        echo "framework module $name {"
        for header in "$folder"/Headers/*.h; do echo "    header \"$(basename "$header")\""; done
        echo "    export *"
        echo "}"
    } >"$folder/Modules/module.modulemap"
    cp Sources/Kinglet/PrivacyInfo.xcprivacy "$folder/"
    cat >"$folder/Info.plist" <<PLIST
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>CFBundleExecutable</key><string>$name</string>
	<key>CFBundleIdentifier</key><string>dev.kinglet.$name</string>
	<key>CFBundleName</key><string>$name</string>
	<key>CFBundlePackageType</key><string>FMWK</string>
	<key>CFBundleShortVersionString</key><string>0.1.0</string>
	<key>CFBundleVersion</key><string>1</string>
	<key>$key</key><string>$version</string>
</dict>
</plist>
PLIST
}
framework ios MinimumOSVersion 16.0 "$(library aarch64-apple-ios)"
framework simulator MinimumOSVersion 16.0 "$(library aarch64-apple-ios-sim)" "$(library x86_64-apple-ios)"
framework macos LSMinimumSystemVersion 13.0 "$(library aarch64-apple-darwin)" "$(library x86_64-apple-darwin)"

rm -rf "$build/$name.xcframework"
xcodebuild -create-xcframework -framework "$build/ios/$name.framework" -framework "$build/simulator/$name.framework" \
    -framework "$build/macos/$name.framework" -output "$build/$name.xcframework"
