package dev.kinglet

import android.app.Activity
import android.content.ComponentCallbacks2
import android.content.Context
import android.os.PowerManager
import java.io.File
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.Assert.assertEquals
import org.junit.Assert.assertNull
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.annotation.Config

/** Callbacks of the system to the app, and their effect on the model. */
@RunWith(RobolectricTestRunner::class)
@Config(sdk = [34])
class GovernorTest {
    private val application get() = RuntimeEnvironment.getApplication()
    private val endless = File(System.getProperty("kinglet.models"), "goldens/llama/genai")
    private val greedy = GenerationOptions(maxNewTokens = 20, sampling = Sampling(temperature = 0f))

    private suspend fun KingletSession.text() =
        respond("hello", greedy).toList().filterIsInstance<Event.Text>().joinToString("") { it.text }

    @Test
    @Suppress("DEPRECATION")
    fun levelsOfMemoryAndHeatHaveTheirMeaning() {
        val levels =
            mapOf(
                ComponentCallbacks2.TRIM_MEMORY_RUNNING_MODERATE to MemoryPressure.MODERATE,
                ComponentCallbacks2.TRIM_MEMORY_RUNNING_LOW to MemoryPressure.MODERATE,
                ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL to MemoryPressure.CRITICAL,
                ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN to MemoryPressure.MODERATE,
                ComponentCallbacks2.TRIM_MEMORY_BACKGROUND to MemoryPressure.CRITICAL,
                ComponentCallbacks2.TRIM_MEMORY_COMPLETE to MemoryPressure.CRITICAL,
            )
        assertEquals(levels, levels.mapValues { pressure(it.key) })
        val states =
            mapOf(
                PowerManager.THERMAL_STATUS_NONE to ThermalState.NOMINAL,
                PowerManager.THERMAL_STATUS_MODERATE to ThermalState.FAIR,
                PowerManager.THERMAL_STATUS_SEVERE to ThermalState.SERIOUS,
                PowerManager.THERMAL_STATUS_CRITICAL to ThermalState.CRITICAL,
                PowerManager.THERMAL_STATUS_SHUTDOWN to ThermalState.CRITICAL,
            )
        assertEquals(states, states.mapValues { thermal(it.key) })
    }

    @Test
    fun shortMemoryAndHeatReachTheModelAndChangeNoAnswer() = runBlocking<Unit> {
        KingletModel.open(endless).use { model ->
            val calm = model.session().use { it.text() }
            KingletGovernor(application, model).use {
                val power = shadowOf(application.getSystemService(Context.POWER_SERVICE) as PowerManager)
                for (level in listOf(ComponentCallbacks2.TRIM_MEMORY_UI_HIDDEN, ComponentCallbacks2.TRIM_MEMORY_BACKGROUND)) {
                    application.onTrimMemory(level)
                    assertEquals(0, model.kvBytes)
                    power.setCurrentThermalStatus(PowerManager.THERMAL_STATUS_SEVERE)
                    assertEquals(calm, model.session().use { it.text() })
                }
            }
        }
    }

    @Test
    fun answersWaitInTheBackgroundAndGoOnInTheForeground() = runBlocking<Unit> {
        KingletModel.open(endless).use { model ->
            val governor = KingletGovernor(application, model)
            val screen = Robolectric.buildActivity(Activity::class.java).create().start()
            val session = model.session()
            withTimeout(20.seconds) { session.text() }
            session.reset()
            screen.stop()
            assertNull(withTimeoutOrNull(100.milliseconds) { session.text() })
            val waiting = async(Dispatchers.Default) { model.session().use { it.text() } }
            screen.restart().start()
            withTimeout(20.seconds) { waiting.await() }
            screen.stop()
            governor.close()
            governor.close()
            withTimeout(20.seconds) { model.session().use { it.text() } }
        }
    }
}
