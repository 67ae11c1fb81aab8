plugins { alias(libs.plugins.android.library) }

android {
    namespace = "dev.kinglet.gemini"
    compileSdk = 36
    defaultConfig { minSdk = 26 }
}

dependencies {
    api(project(":kinglet"))
    implementation(libs.mlkit.prompt)
}
