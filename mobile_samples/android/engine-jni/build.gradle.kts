// The engine on the CPU through a C shim. src/main/jniLibs takes liblitert-lm.so and the shim, from the bundle's app.apk.
plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "dev.gemmabridge.jni"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
    }
}

dependencies {
    api(project(":core"))
}
