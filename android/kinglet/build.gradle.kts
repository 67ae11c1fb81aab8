plugins { alias(libs.plugins.android.library) }

android {
    namespace = "dev.kinglet"
    compileSdk = 36
    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        ndk { abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64") }
    }
    sourceSets["main"].kotlin.srcDir("src/android/kotlin")
    sourceSets["main"].kotlin.srcDir(layout.buildDirectory.dir("generated/uniffi"))
    sourceSets["main"].jniLibs.srcDir(layout.buildDirectory.dir("generated/jniLibs"))
}

/** The native library of each ABI, by cargo-ndk and the NDK, and the Kotlin that uniffi writes for it. */
val nativeLibraries by tasks.registering(Exec::class) {
    workingDir = rootDir.parentFile
    val libraries = layout.buildDirectory.dir("generated/jniLibs").get().asFile
    commandLine(
        "cargo", "ndk", "--target", "arm64-v8a", "--target", "armeabi-v7a", "--target", "x86_64", "--platform", "24",
        "--output-dir", libraries.path, "build", "--release", "--package", "kinglet-ffi", "--features", "jni",
    )
}

val bindings by tasks.registering(Exec::class) {
    dependsOn(nativeLibraries)
    workingDir = rootDir.parentFile
    commandLine(
        "cargo", "run", "--package", "kinglet-bindgen", "--bin", "uniffi-bindgen", "--", "generate", "--language", "kotlin", "--no-format",
        "--out-dir", layout.buildDirectory.dir("generated/uniffi").get().asFile.path,
        layout.buildDirectory.file("generated/jniLibs/arm64-v8a/libkinglet_ffi.so").get().asFile.path,
    )
}

tasks.named("preBuild") { dependsOn(bindings) }

dependencies {
    api(libs.coroutines)
    implementation(libs.annotation)
    implementation(variantOf(libs.jna) { artifactType("aar") })
}
