package dev.gemmabridge.core

import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.TimeZone

/** Tells the date and the time of day where the device is. */
class Clock @JvmOverloads constructor(
    private val now: () -> Long = { System.currentTimeMillis() },
    private val zone: () -> TimeZone = { TimeZone.getDefault() },
) : Tool {
    override val name = "clock"
    override val description = "Tells the local date and time."
    override val parameters = mapOf("type" to "object", "properties" to emptyMap<String, Any?>())

    override fun run(arguments: Map<String, Any?>): Any? {
        val format = SimpleDateFormat("EEEE yyyy-MM-dd HH:mm", Locale.ENGLISH) // months in numbers: models read them best
        format.timeZone = zone()
        return format.format(Date(now()))
    }
}

/** Calculates what [Arithmetic] reads. */
class Calculator : Tool {
    override val name = "calculator"
    override val description = "Calculates an arithmetic expression exactly."
    override val parameters = mapOf(
        "type" to "object",
        "properties" to mapOf(
            "expression" to mapOf(
                "type" to "string",
                "description" to "Numbers, + - * / % ^ and parentheses, for example (47 + 38) * 2",
            ),
        ),
        "required" to listOf("expression"),
    )

    override fun run(arguments: Map<String, Any?>): Any? {
        val expression = arguments["expression"] ?: throw IllegalArgumentException("the argument expression is missing")
        return Arithmetic.value(expression.toString())
    }
}
