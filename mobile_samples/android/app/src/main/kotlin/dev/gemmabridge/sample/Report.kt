package dev.gemmabridge.sample

import dev.gemmabridge.core.Choice
import dev.gemmabridge.core.Json
import dev.gemmabridge.core.Manifest

/** The self-test's outcome as a file for the desktop: what was tried on this device, in order, and what came of it. */
internal object Report {
    const val FILE = "self-test.json"

    fun json(device: String, manifest: Manifest, choice: Choice): String {
        val trials = choice.trials.joinToString(",") {
            val report = it.report?.toJson() ?: "null"
            "{\"backend\":${Json.quote(it.backend.wire)},\"why\":${Json.quote(it.why)},\"report\":$report}"
        }
        val verdict = choice.verdict.name.lowercase().replace('_', ' ')
        return "{\"schema_version\":1,\"device\":${Json.quote(device)},\"model\":${Json.quote(manifest.name)}," +
            "\"artifact_sha256\":${Json.quote(manifest.artifactSha256)},\"verdict\":${Json.quote(verdict)},\"trials\":[$trials]}\n"
    }

    /** For a test that could not run: [why] in the place of trials. */
    fun failure(device: String, why: String): String =
        "{\"schema_version\":1,\"device\":${Json.quote(device)},\"verdict\":\"failed\",\"why\":${Json.quote(why)},\"trials\":[]}\n"
}
