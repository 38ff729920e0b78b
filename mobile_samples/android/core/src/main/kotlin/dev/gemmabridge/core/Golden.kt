package dev.gemmabridge.core

/**
 * One prompt of `golden.json` and what the reference answers, greedily.
 *
 * @property turns the conversation, its last turn the user's; empty for a bare [prompt].
 * @property ids token ids of the prompt, the start token first.
 * @property continuation the reference's tokens, a stop token included where one ended them; [text] is without it.
 * @property certain so many tokens come before the reference's first near-tie: only these bind anybody.
 */
class Golden(
    val prompt: String,
    val turns: List<Turn>,
    val ids: IntArray,
    val continuation: IntArray,
    val text: String,
    val certain: Int,
)

/** A bundle's `golden.json`; [artifactSha256] is of the model file that it belongs to. */
class GoldenFile private constructor(
    val artifactSha256: String,
    val stopTokens: Set<Int>,
    val goldens: List<Golden>,
) {
    companion object {
        /**
         * Reads the file; every digest in it is made again, so that a number taken over wrongly is found here.
         *
         * @throws RefusedException not version 1, or damaged.
         */
        fun parse(bytes: ByteArray): GoldenFile {
            val root = Fields.of(Utf8.decode(bytes, "golden.json"), "golden")
            val version = root.integer("schema_version")
            if (version != 1L) throw RefusedException("golden.schema_version is $version; this app reads 1")
            return GoldenFile(
                root.sha256("artifact_sha256"),
                root.integers("stop_tokens").toSet(),
                root.children("goldens").mapIndexed { i, fields -> golden(fields, "golden.goldens[$i]") },
            )
        }

        private fun golden(fields: Fields, where: String): Golden {
            val ids = fields.integers("ids")
            val continuation = fields.integers("continuation")
            val certain = fields.count("certain")
            if (certain > continuation.size) {
                throw RefusedException("$where.certain is $certain of ${continuation.size} tokens")
            }
            if (Digest.tokens(ids + continuation.copyOf(certain.toInt())) != fields.sha256("tokens_sha256")) {
                throw RefusedException("$where.tokens_sha256 is of other tokens")
            }
            val steps = fields.children("steps")
            if (steps.size != continuation.size) {
                throw RefusedException("$where.steps are ${steps.size}, its tokens ${continuation.size}")
            }
            steps.forEachIndexed { i, step -> checkStep(step, "$where.steps[$i]") }
            val turns = fields.children("messages").map { Turn(role(it, where), it.text("content")) }
            if (turns.isNotEmpty() && turns.last().role != Role.USER) {
                throw RefusedException("$where.messages do not end with the user's")
            }
            return Golden(fields.text("prompt"), turns, ids, continuation, fields.text("text"), certain.toInt())
        }

        private fun checkStep(step: Fields, where: String) {
            val tokens = step.integers("tokens")
            val logits = step.numbers("logits")
            if (tokens.size != 5 || logits.size != 5) throw RefusedException("$where has not five tokens and logits")
            if (Digest.step(tokens, logits) != step.text("digest")) {
                throw RefusedException("$where.digest is of other numbers")
            }
        }

        private fun role(message: Fields, where: String): Role = when (val role = message.text("role")) {
            "user" -> Role.USER
            "assistant" -> Role.ASSISTANT
            else -> throw RefusedException("$where: a message of ${Json.quote(role)}; user and assistant are allowed")
        }
    }
}
