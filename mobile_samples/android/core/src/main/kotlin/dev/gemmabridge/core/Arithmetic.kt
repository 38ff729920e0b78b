package dev.gemmabridge.core

import java.math.BigDecimal
import java.math.MathContext

/**
 * Reads `+ - * / % ^`, parentheses and decimal numbers, with 34 digits. `^` binds strongest and to the right: -2^2 is -4.
 */
object Arithmetic {
    const val LONGEST = 200

    /**
     * @return a Long where the value is whole and not too large for it, otherwise a Double.
     * @throws IllegalArgumentException what is wrong with the expression, in words for a model.
     */
    fun value(expression: String): Number {
        require(expression.length <= LONGEST) { "an expression has at most $LONGEST characters" }
        val exact = try {
            Reader(expression).whole()
        } catch (error: ArithmeticException) {
            throw IllegalArgumentException(error.message ?: "this cannot be calculated")
        }
        val double = exact.toDouble()
        require(!double.isInfinite()) { "the result is too large" }
        if (exact.signum() == 0) return 0L
        // Asked for its digits first: a number like 1e999999 has too many to write out.
        val whole = exact.stripTrailingZeros()
        val digits = whole.precision() - whole.scale()
        return if (whole.scale() <= 0 && digits <= MOST_DIGITS) whole.toLong() else double
    }

    private const val MOST_DIGITS = 18
    private const val MOST_POWER = 999
    private val PRECISION = MathContext.DECIMAL128

    private class Reader(private val text: String) {
        private var at = 0

        fun whole(): BigDecimal {
            val value = sum()
            require(next() == END) { "${shown()} is not expected there" }
            return value
        }

        private fun sum(): BigDecimal {
            var value = product()
            while (true) {
                value = when (next()) {
                    '+' -> take { value.add(product(), PRECISION) }
                    '-', '−' -> take { value.subtract(product(), PRECISION) }
                    else -> return value
                }
            }
        }

        private fun product(): BigDecimal {
            var value = signed()
            while (true) {
                value = when (next()) {
                    '*', '×' -> take { value.multiply(signed(), PRECISION) }
                    '/', '÷' -> take { value.divide(divisor(), PRECISION) }
                    '%' -> take { value.remainder(divisor(), PRECISION) }
                    else -> return value
                }
            }
        }

        private fun divisor(): BigDecimal {
            val value = signed()
            require(value.signum() != 0) { "division by zero" }
            return value
        }

        private fun signed(): BigDecimal = when (next()) {
            '-', '−' -> take { signed().negate() }
            '+' -> take { signed() }
            else -> power()
        }

        private fun power(): BigDecimal {
            val base = atom()
            if (next() != '^') return base
            val exponent = take { signed() }
            require(exponent.abs() <= BigDecimal(MOST_POWER) && exponent.stripTrailingZeros().scale() <= 0) {
                "an exponent is a whole number of at most $MOST_POWER"
            }
            require(base.signum() != 0 || exponent.signum() >= 0) { "division by zero" }
            return base.pow(exponent.toInt(), PRECISION)
        }

        private fun atom(): BigDecimal {
            if (next() == '(') {
                val value = take { sum() }
                require(next() == ')') { "a parenthesis is not closed" }
                at++
                return value
            }
            val begin = at
            while (at < text.length && (text[at] in '0'..'9' || text[at] == '.')) at++
            val digits = text.substring(begin, at)
            require(digits.isNotEmpty()) { "${shown()} is not expected there" }
            return digits.toBigDecimalOrNull()?.round(PRECISION) ?: throw IllegalArgumentException("$digits is no number")
        }

        /** Skips blanks. */
        private fun next(): Char {
            while (at < text.length && text[at].isWhitespace()) at++
            return if (at < text.length) text[at] else END
        }

        private fun take(rest: () -> BigDecimal): BigDecimal {
            at++
            return rest()
        }

        private fun shown() = if (at < text.length) "'${text[at]}'" else "the end"
    }

    private const val END = '\u0000'
}
