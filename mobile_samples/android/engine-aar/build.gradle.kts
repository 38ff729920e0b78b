// The engine through Google's Kotlin API, with GPU and NPU.
plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "dev.gemmabridge.aar"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
    }
}

dependencies {
    api(project(":core"))
    implementation(libs.litertlm.android)
    implementation(libs.kotlinx.coroutines)
}
