plugins {
    alias(libs.plugins.android.application)
    alias(libs.plugins.compose)
}

android {
    namespace = "dev.kinglet.sample"
    compileSdk = 36
    defaultConfig {
        applicationId = "dev.kinglet.sample"
        minSdk = 24
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
    }
    buildFeatures { compose = true }
    // Stored as they are, so that they are mapped from the APK.
    androidResources { noCompress += listOf("onnx", "data") }
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("generated/models"))
    buildTypes {
        release {
            isMinifyEnabled = true
            isShrinkResources = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"))
        }
    }
}

/** The shipped model as an asset, `models/goldcrest`. */
val model by tasks.registering(Copy::class) {
    from(rootDir.parentFile.resolve("models/goldcrest"))
    into(layout.buildDirectory.dir("generated/models/models/goldcrest"))
}

tasks.named("preBuild") { dependsOn(model) }

dependencies {
    implementation(project(":kinglet"))
    implementation(platform(libs.compose.bom))
    implementation(libs.compose.material3)
    implementation(libs.activity.compose)
    implementation(libs.lifecycle.runtime.compose)
}
