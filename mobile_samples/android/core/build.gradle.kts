import org.jetbrains.kotlin.gradle.dsl.JvmTarget

// Plain Kotlin: no Android here, so that the same code runs and is tested on a desktop.
plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    compilerOptions {
        jvmTarget.set(JvmTarget.JVM_1_8)
    }
}
