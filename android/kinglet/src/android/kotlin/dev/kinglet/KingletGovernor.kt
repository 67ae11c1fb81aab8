package dev.kinglet

import android.app.Activity
import android.app.Application
import android.content.ComponentCallbacks2
import android.content.Context
import android.content.res.Configuration
import android.os.Build
import android.os.Bundle
import android.os.PowerManager
import androidx.annotation.RequiresApi

/**
 * Tells a model what the device asks of it, until it is closed: to take less memory ([ComponentCallbacks2]), to go slower on a hot
 * device ([PowerManager], Android 10 and newer), and to wait while the app is in the background.
 *
 * ```kotlin
 * val governor = KingletGovernor(application, model)
 * ```
 *
 * @param pauseInBackground whether answers wait while no activity of the app is started. Leave it out for apps that answer in a
 *   foreground service.
 */
public class KingletGovernor(
    private val application: Application,
    private val model: KingletModel,
    pauseInBackground: Boolean = true,
) : AutoCloseable {
    private val memory = Memory(model)
    private val screens = if (pauseInBackground) Screens(model) else null
    private val heat = if (Build.VERSION.SDK_INT >= Build.VERSION_CODES.Q) Heat(application, model) else null

    init {
        application.registerComponentCallbacks(memory)
        screens?.let(application::registerActivityLifecycleCallbacks)
    }

    /** Ends watching. The model stays open, at full speed. Closing twice does nothing more. */
    override fun close() {
        application.unregisterComponentCallbacks(memory)
        screens?.let(application::unregisterActivityLifecycleCallbacks)
        heat?.close()
        model.thermal(ThermalState.NOMINAL)
        model.resume()
    }
}

private class Memory(private val model: KingletModel) : ComponentCallbacks2 {
    override fun onTrimMemory(level: Int) = model.memoryPressure(pressure(level))

    @Deprecated("Old systems call it.")
    override fun onLowMemory() = model.memoryPressure(MemoryPressure.CRITICAL)

    override fun onConfigurationChanged(configuration: Configuration) = Unit
}

/** Memory pressure of a level of [ComponentCallbacks2.onTrimMemory]. Since Android 14 only `UI_HIDDEN` and `BACKGROUND` come. */
@Suppress("DEPRECATION")
internal fun pressure(level: Int): MemoryPressure =
    when {
        level >= ComponentCallbacks2.TRIM_MEMORY_BACKGROUND -> MemoryPressure.CRITICAL
        level == ComponentCallbacks2.TRIM_MEMORY_RUNNING_CRITICAL -> MemoryPressure.CRITICAL
        else -> MemoryPressure.MODERATE
    }

/** Pauses while no activity is started. */
private class Screens(private val model: KingletModel) : Application.ActivityLifecycleCallbacks {
    private var started = 0

    override fun onActivityStarted(activity: Activity) {
        if (++started == 1) model.resume()
    }

    override fun onActivityStopped(activity: Activity) {
        // One that was started before this was registered is not counted.
        started = maxOf(0, started - 1)
        if (started == 0 && !activity.isChangingConfigurations) model.pause()
    }

    override fun onActivityCreated(activity: Activity, state: Bundle?) = Unit

    override fun onActivityResumed(activity: Activity) = Unit

    override fun onActivityPaused(activity: Activity) = Unit

    override fun onActivitySaveInstanceState(activity: Activity, state: Bundle) = Unit

    override fun onActivityDestroyed(activity: Activity) = Unit
}

@RequiresApi(Build.VERSION_CODES.Q)
private class Heat(context: Context, private val model: KingletModel) : AutoCloseable {
    private val power = context.getSystemService(PowerManager::class.java)
    private val listener = PowerManager.OnThermalStatusChangedListener { model.thermal(thermal(it)) }

    init {
        power?.addThermalStatusListener(listener)
    }

    override fun close() {
        power?.removeThermalStatusListener(listener)
    }
}

/** Thermal state of a status of [PowerManager]. */
@RequiresApi(Build.VERSION_CODES.Q)
internal fun thermal(status: Int): ThermalState =
    when (status) {
        PowerManager.THERMAL_STATUS_NONE -> ThermalState.NOMINAL
        PowerManager.THERMAL_STATUS_LIGHT -> ThermalState.FAIR
        PowerManager.THERMAL_STATUS_MODERATE -> ThermalState.FAIR
        PowerManager.THERMAL_STATUS_SEVERE -> ThermalState.SERIOUS
        else -> ThermalState.CRITICAL
    }
