plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "dev.gemmabridge.sample"
    compileSdk = libs.versions.targetSdk.get().toInt()

    defaultConfig {
        applicationId = "dev.gemmabridge.sample"
        minSdk = libs.versions.minSdk.get().toInt()
        targetSdk = libs.versions.targetSdk.get().toInt()
        versionCode = 1
        versionName = "1.0"
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    flavorDimensions += "engine"
    productFlavors {
        create("gpu") {
            dimension = "engine"
        }
        create("cpu") {
            dimension = "engine"
        }
        // For bundles whose manifest names ONNX Runtime; the others are for LiteRT-LM.
        create("onnx") {
            dimension = "engine"
        }
    }

    androidResources {
        // The engine maps the model; what is compressed cannot be mapped.
        noCompress += listOf("litertlm", "onnx", "data")
    }
}

dependencies {
    implementation(project(":core"))
    "gpuImplementation"(project(":engine-aar"))
    "cpuImplementation"(project(":engine-jni"))
    "onnxImplementation"(project(":engine-ort"))
}
