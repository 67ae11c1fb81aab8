package dev.kinglet

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** The vectors that Rust and Swift run too: the same requests, the same replies, the same errors. */
class VectorsTest {
    private val models = File(System.getProperty("kinglet.models"))
    private val vectors = JsonParser.parseString(File(System.getProperty("kinglet.vectors")).readText()).asJsonObject

    private fun each(part: String, body: suspend (JsonObject) -> Unit) {
        val cases = vectors.getAsJsonArray(part)
        assertTrue(cases.size() > 0)
        for (case in cases) runBlocking { body(case.asJsonObject) }
    }

    private fun JsonObject.text(name: String): String? = get(name)?.takeUnless { it.isJsonNull }?.asString

    private fun JsonObject.pairs(name: String) = getAsJsonArray(name).map { it.asJsonArray[0].asString to it.asJsonArray[1].asString }

    private suspend fun KingletSession.text(said: String, tokens: Int, temperature: Float): String =
        respond(said, GenerationOptions(maxNewTokens = tokens, sampling = Sampling(temperature = temperature)))
            .toList()
            .filterIsInstance<Event.Text>()
            .joinToString("") { it.text }

    @Test
    fun replies() = each("replies") { case ->
        KingletModel.open(File(models, "goldcrest")).use { model ->
            val turns = case.pairs("turns").map { (who, said) -> Turn(if (who == "agent") Speaker.AGENT else Speaker.CUSTOMER, said) }
            val answer = model.smartReplies(turns, ReplyOptions(bank = case.getAsJsonArray("bank")?.map { it.asString }))
            val status =
                when (answer) {
                    is SmartReplies.Suggested -> "suggested"
                    is SmartReplies.None -> "none"
                    is SmartReplies.Unsafe -> "unsafe"
                    is SmartReplies.UnsupportedLanguage -> "unsupported_language"
                }
            assertEquals(case.text("status"), status)
            case.text("best")?.let { assertEquals(it, (answer as SmartReplies.Suggested).replies[0].text) }
        }
    }

    @Test
    fun conversations() = each("conversations") { case ->
        KingletModel.open(File(models, case.text("model")!!)).use { model ->
            val session = model.session(case.text("instructions"))
            for ((said, answered) in case.pairs("turns")) {
                assertEquals(answered, session.text(said, case.get("tokens").asInt, 0f))
            }
        }
    }

    @Test
    fun errors() = each("errors") { case ->
        val options =
            OpenOptions(
                memoryBudget = case.get("memory_budget")?.asLong,
                context = case.get("context")?.asInt,
                variant = case.text("variant"),
            )
        val error =
            assertThrows<KingletException> {
                runBlocking {
                    KingletModel.open(File(models, case.text("open")!!), options).use { model ->
                        model.session().text(case.text("say")!!, 2, case.get("temperature")?.asFloat ?: 0f)
                    }
                }
            }
        val kind =
            when (error) {
                is KingletException.NotFound -> "not_found"
                is KingletException.BadModel -> "bad_model"
                is KingletException.InvalidRequest -> "invalid_request"
                is KingletException.OutOfMemory -> "out_of_memory"
                else -> "another"
            }
        assertEquals(case.text("error"), kind, error.message)
        assertTrue(case.text("says")!! in error.message.orEmpty(), error.message)
    }
}
