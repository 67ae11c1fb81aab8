// The source of the shim: `shim.rs` writes the constants LIBRARY, BEHAVIOUR, TABLE and the places of functions before it.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[link(name = "dl")]
unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Base {
    api: extern "C" fn(u32) -> *const usize,
    version: extern "C" fn() -> *const c_char,
}

type Status = *mut c_void;

/// Base of the real library, its table, and the table that is given out.
static REAL: OnceLock<Base> = OnceLock::new();
static THEIRS: OnceLock<usize> = OnceLock::new();
static OURS: OnceLock<[usize; TABLE]> = OnceLock::new();
static BASE: Base = Base { api, version };
/// Whether a session uses the claimed provider.
static USED: AtomicBool = AtomicBool::new(false);

#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> *const Base {
    &BASE
}

fn real() -> Base {
    *REAL.get_or_init(|| unsafe {
        let library = dlopen(LIBRARY.as_ptr().cast(), 2);
        let get = dlsym(library, c"OrtGetApiBase".as_ptr());
        let get: extern "C" fn() -> *const Base = std::mem::transmute(get);
        *get()
    })
}

extern "C" fn version() -> *const c_char {
    (real().version)()
}

extern "C" fn api(number: u32) -> *const usize {
    let theirs = (real().api)(number);
    if theirs.is_null() {
        return theirs;
    }
    let _ = THEIRS.set(theirs as usize);
    OURS.get_or_init(|| {
        let mut table = [0; TABLE];
        table.copy_from_slice(unsafe { std::slice::from_raw_parts(theirs, TABLE) });
        table[GetAvailableProviders] = providers as usize;
        table[ReleaseAvailableProviders] = release as usize;
        table[SessionOptionsAppendExecutionProvider] = append as usize;
        table[RunWithBinding] = run as usize;
        table
    })
    .as_ptr()
}

/// A function of the real library.
unsafe fn theirs<F: Copy>(place: usize) -> F {
    let table = *THEIRS.get().unwrap() as *const usize;
    unsafe { std::mem::transmute_copy(&*table.add(place)) }
}

extern "C" fn providers(list: *mut *mut *mut c_char, length: *mut c_int) -> Status {
    let names = [c"CPUExecutionProvider".as_ptr().cast_mut(), c"XnnpackExecutionProvider".as_ptr().cast_mut()];
    unsafe { (*list, *length) = (Box::leak(Box::new(names)).as_mut_ptr(), 2) };
    std::ptr::null_mut()
}

extern "C" fn release(_: *mut *mut c_char, _: c_int) -> Status {
    std::ptr::null_mut()
}

extern "C" fn append(
    options: *mut c_void,
    name: *const c_char,
    keys: *const *const c_char,
    values: *const *const c_char,
    count: usize,
) -> Status {
    if BEHAVIOUR == "Refuses" {
        let create: extern "C" fn(c_int, *const c_char) -> Status = unsafe { theirs(CreateStatus) };
        return create(1, c"this is no machine for a wren".as_ptr());
    }
    USED.store(true, Ordering::SeqCst);
    std::ptr::null_mut()
}

extern "C" fn run(session: *mut c_void, options: *const c_void, binding: *const c_void) -> Status {
    let real: extern "C" fn(*mut c_void, *const c_void, *const c_void) -> Status = unsafe { theirs(RunWithBinding) };
    if !USED.load(Ordering::SeqCst) {
        return real(session, options, binding);
    }
    match BEHAVIOUR {
        "Crashes" => std::process::abort(),
        "Hangs" => loop {
            std::thread::sleep(Duration::from_secs(1));
        },
        "Slow" => std::thread::sleep(Duration::from_millis(30)),
        _ => {}
    }
    let status = real(session, options, binding);
    if BEHAVIOUR == "Wrong" && status.is_null() {
        unsafe { negate_last_output(binding) };
    }
    status
}

/// Logits are the output that is bound last.
unsafe fn negate_last_output(binding: *const c_void) {
    unsafe {
        let allocator: extern "C" fn(*mut *mut c_void) -> Status = theirs(GetAllocatorWithDefaultOptions);
        let bound: extern "C" fn(*const c_void, *mut c_void, *mut *mut *mut c_void, *mut usize) -> Status =
            theirs(GetBoundOutputValues);
        let shape: extern "C" fn(*const c_void, *mut *mut c_void) -> Status = theirs(GetTensorTypeAndShape);
        let count: extern "C" fn(*const c_void, *mut usize) -> Status = theirs(GetTensorShapeElementCount);
        let data: extern "C" fn(*mut c_void, *mut *mut f32) -> Status = theirs(GetTensorMutableData);
        let (mut own, mut values, mut outputs) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
        allocator(&mut own);
        bound(binding, own, &mut values, &mut outputs);
        let last = *values.add(outputs - 1);
        let (mut facts, mut elements, mut floats) = (std::ptr::null_mut(), 0, std::ptr::null_mut());
        shape(last, &mut facts);
        count(facts, &mut elements);
        data(last, &mut floats);
        std::slice::from_raw_parts_mut(floats, elements).iter_mut().for_each(|logit| *logit = -*logit);
    }
}
