// The engine through ONNX Runtime's Java API, on the CPU; tokenizer, template, cache and draw are Kotlin here.
plugins {
    alias(libs.plugins.android.library)
}

android {
    namespace = "dev.gemmabridge.ort"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        minSdk = libs.versions.minSdk.get().toInt()
    }
}

dependencies {
    api(project(":core"))
    implementation(libs.onnxruntime.android)
}
