// The engine on the CPU through a C shim: liblitert-lm.so and the shim stand in src/main/jniLibs, put there with the bundle.
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
