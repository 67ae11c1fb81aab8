package dev.kinglet

import dev.kinglet.sample.Chat
import dev.kinglet.sample.ChatState
import dev.kinglet.sample.ModelState
import dev.kinglet.sample.facts
import java.io.File
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.Assert.assertEquals
import org.junit.Assert.assertTrue
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.RobolectricTestRunner
import org.robolectric.annotation.Config

/** State behind the sample's screens, with the real model. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class ChatTest {
    private val goldcrest = File(System.getProperty("kinglet.models"), "goldcrest")

    private suspend fun Chat.settled(): ChatState = withTimeout(20.seconds) { state.first { !it.searching } }

    @Test
    fun repliesComeForTheOtherSide() = runBlocking<Unit> {
        KingletModel.open(goldcrest).use { model ->
            val chat = Chat(CoroutineScope(Dispatchers.Default)) { model.smartReplies(it) }
            chat.say("   ")
            assertEquals(ChatState(), chat.state.value)
            chat.say("Do you want to grab lunch tomorrow?")
            val state = chat.settled()
            assertEquals(listOf(Turn(Speaker.CUSTOMER, "Do you want to grab lunch tomorrow?")), state.turns)
            assertEquals(Speaker.AGENT, state.next)
            assertTrue(state.replies.size in 1..3)
        }
    }

    @Test
    fun aLaterMessageEndsTheSearchForTheEarlierOne() = runBlocking<Unit> {
        val chat = Chat(CoroutineScope(Dispatchers.Default)) { turns ->
            if (turns.size == 1) awaitCancellation()
            SmartReplies.None("${turns.size}")
        }
        chat.say("one")
        chat.say("two")
        assertEquals("2", chat.settled().note)
    }

    @Test
    fun factsAreWhatIsKnown() = runBlocking<Unit> {
        assertEquals(emptyList<Any>(), facts(ModelState(problem = "none")))
        val facts = facts(ModelState(KingletModel.inspect(goldcrest), openMillis = 12))
        assertEquals("Name" to "goldcrest", facts.first())
        assertTrue("Opened in" to "12 ms" in facts)
    }
}
