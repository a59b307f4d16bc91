//! The one place that enters the kernel. (clone with a stack for the child returns twice: its instructions are in `clone.rs`.)
//!
//! A call is made as `call!(mkdirat(dir, name, mode))`: its name is that of the kernel's table, and the types of its
//! arguments say both what goes into the registers and how they are shown. An observer can be set with `observe`: that of
//! `--trace` makes each call and prints it, that of `--dry-run` records each call and makes none.

use crate::bytes::{self, Put, Sink};
use crate::error::{Error, Result};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use syscalls::{Errno, Sysno};

/// A system call as one place in the source makes it.
pub struct Call {
    /// Its number on this architecture.
    pub number: Sysno,
    /// Its name, as strace(1) and the man pages have it.
    pub name: &'static str,
    /// How each of its arguments is shown.
    pub arguments: &'static [&'static Show],
}

/// How the register of one argument is shown.
#[derive(Clone, Copy)]
pub enum Show {
    /// A descriptor, or AT_FDCWD.
    Descriptor,
    /// A number of 32 bits with a sign.
    Signed,
    /// A number.
    Unsigned,
    /// Permissions, in octal.
    Octal,
    /// An address, in hexadecimal.
    Address,
    /// The address of a string that a NUL ends.
    String,
    /// The address of as many bytes as the next argument says.
    Bytes,
    /// The address of room for as many bytes as the next argument says; the kernel fills as many as the call returns.
    Filled,
    /// The address of as many group ids as the argument before says.
    Groups,
    /// The address of a list of strings that a null pointer ends.
    Strings,
    /// Likewise; shown by its address and its length, as strace(1) does: an environment is long, and may hold secrets.
    Environment,
    /// Flags, or one value of an enumeration, by name.
    Flags(Names),
    /// The address of an object of this size that the kernel reads, and how its bytes are printed.
    Read(usize, Print),
    /// The address of an object of this size that the kernel writes.
    Written(usize, Print),
}

/// Prints the bytes of an object as strace(1) does.
pub type Print = fn(&[u8], &mut dyn Sink);

/// The names of flags, or of the values of an enumeration.
#[derive(Clone, Copy)]
pub enum Names {
    /// A set of these bits.
    Bits(&'static [(&'static str, u64)]),
    /// One of these values.
    One(&'static [(&'static str, u64)]),
    /// The value is the place of its name; an empty one stands for none.
    Numbered(&'static [&'static str]),
}

impl Names {
    /// The name of one value.
    pub fn name_of(&self, value: u64) -> Option<&'static str> {
        match self {
            Names::Bits(names) | Names::One(names) => {
                names.iter().find(|(_, known)| *known == value).map(|(name, _)| *name)
            }
            Names::Numbered(names) => names.get(value as usize).copied().filter(|name| !name.is_empty()),
        }
    }

    /// Puts the names of `bits`, joined by `|`; bits without a name in hexadecimal.
    pub fn put(&self, bits: u64, out: &mut dyn Sink) {
        let mut rest = bits;
        let mut separator: &[u8] = b"";
        if let Names::Bits(names) = self {
            for (name, value) in *names {
                if *value != 0 && rest & value == *value {
                    out.put(separator);
                    out.put(name.as_bytes());
                    rest &= !value;
                    separator = b"|";
                }
            }
        } else if let Some(name) = self.name_of(bits) {
            return out.put(name.as_bytes());
        }
        if rest != 0 || separator.is_empty() {
            out.put(separator);
            out.put_hex(rest);
        }
    }
}

/// A type that can be the argument of a call. A reference stays valid for the call because it is borrowed for it.
pub trait Arg {
    /// How the register is shown.
    const SHOW: &'static Show;
    /// The value of the register.
    fn reg(&self) -> usize;
}

macro_rules! numbers {
    ($($type:ty: $show:ident),*) => { $(impl Arg for $type {
        const SHOW: &'static Show = &Show::$show;
        fn reg(&self) -> usize {
            *self as usize
        }
    })* };
}
numbers!(i32: Signed, u32: Unsigned, u64: Unsigned, usize: Unsigned);

/// The permissions of a file that is created, and perhaps its type.
#[derive(Clone, Copy)]
pub struct Mode(pub u32);

impl Arg for Mode {
    const SHOW: &'static Show = &Show::Octal;
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// A null pointer, where a call takes one.
pub struct Null;

impl Arg for Null {
    const SHOW: &'static Show = &Show::Address;
    fn reg(&self) -> usize {
        0
    }
}

impl Arg for &CStr {
    const SHOW: &'static Show = &Show::String;
    fn reg(&self) -> usize {
        self.as_ptr() as usize
    }
}

impl Arg for Option<&CStr> {
    const SHOW: &'static Show = &Show::String;
    fn reg(&self) -> usize {
        self.map_or(0, |string| string.as_ptr() as usize)
    }
}

/// Where the kernel reads bytes; the next argument says how many.
impl Arg for &[u8] {
    const SHOW: &'static Show = &Show::Bytes;
    fn reg(&self) -> usize {
        self.as_ptr() as usize
    }
}

/// Where the kernel writes bytes; the next argument says how many at most.
impl Arg for &mut [u8] {
    const SHOW: &'static Show = &Show::Filled;
    fn reg(&self) -> usize {
        self.as_ptr() as usize
    }
}

/// Likewise, into memory that need not be initialised.
impl Arg for &mut [MaybeUninit<u8>] {
    const SHOW: &'static Show = &Show::Filled;
    fn reg(&self) -> usize {
        self.as_ptr() as usize
    }
}

/// A list of strings that a null pointer ends.
pub struct StringsAt(pub *const *const c_char);

impl Arg for StringsAt {
    const SHOW: &'static Show = &Show::Strings;
    fn reg(&self) -> usize {
        self.0 as usize
    }
}

/// A structure that the kernel reads or writes through a pointer.
pub trait Object {
    /// Prints its bytes; without one, the address is shown.
    const PRINT: Option<Print> = None;
}

impl<T: Object> Arg for &T {
    const SHOW: &'static Show = match T::PRINT {
        Some(print) => &Show::Read(size_of::<T>(), print),
        None => &Show::Address,
    };
    fn reg(&self) -> usize {
        core::ptr::from_ref::<T>(*self) as usize
    }
}

impl<T: Object> Arg for &mut T {
    const SHOW: &'static Show = match T::PRINT {
        Some(print) => &Show::Written(size_of::<T>(), print),
        None => &Show::Address,
    };
    fn reg(&self) -> usize {
        core::ptr::from_ref::<T>(*self) as usize
    }
}

impl<T: Object> Arg for Option<&mut T> {
    const SHOW: &'static Show = <&mut T>::SHOW;
    fn reg(&self) -> usize {
        self.as_ref().map_or(0, Arg::reg)
    }
}

/// An int that the kernel reads or writes.
#[derive(Default)]
#[repr(transparent)]
pub(super) struct Int(pub i32);

impl Object for Int {
    const PRINT: Option<Print> = Some(put_numbers);
}

/// siginfo_t: number, errno, code, ...; 128 bytes.
#[repr(C)]
pub(super) struct SigInfo(pub [u32; 32]);

impl Object for SigInfo {}

impl SigInfo {
    /// Zeros.
    pub const EMPTY: Self = SigInfo([0; 32]);
}

/// struct timespec.
#[repr(C)]
#[derive(Default)]
pub(super) struct Timespec(pub [i64; 2]);

impl Object for Timespec {
    const PRINT: Option<Print> = Some(|bytes, out| {
        out.put(b"{tv_sec=");
        out.put_decimal(word(bytes, 0));
        out.put(b", tv_nsec=");
        out.put_decimal(word(bytes, 1));
        out.put(b"}");
    });
}

/// The number and the name of a call. `call!` makes a type with them, so that a [`Call`] can be a constant.
pub trait Named {
    /// The number of the call.
    const NUMBER: Sysno;
    /// Its name.
    const NAME: &'static str;
}

/// What the kernel has returned. The methods turn it into a `Result`, or into what needs no error.
#[must_use]
#[derive(Clone, Copy)]
pub struct Outcome {
    call: &'static Call,
    value: usize,
}

/// The kernel returns its errors as -1 to -4095.
pub const ERRORS: usize = -4095isize as usize;

/// -EINTR.
pub const INTERRUPTED: usize = -(libc::EINTR as isize) as usize;

/// -EAGAIN.
const WOULD_BLOCK: usize = -(libc::EAGAIN as isize) as usize;

impl Outcome {
    /// The value, if the call has worked.
    pub fn ok(self) -> Option<usize> {
        if self.value < ERRORS { Some(self.value) } else { None }
    }

    /// The value, or the failure, which names nothing but the call.
    pub fn result(self) -> Result<usize> {
        self.about(Text(b""))
    }

    /// The value, or the failure, which names what the call was about.
    pub fn about(self, object: About) -> Result<usize> {
        if self.value < ERRORS {
            return Ok(self.value);
        }
        let (text, quoted) = match object {
            Text(text) => (text, [&b""[..]; 3]),
            Path(path) => (&b""[..], [path.to_bytes(), b"", b""]),
            In(dir, name) => (&b""[..], bytes::path_in(dir, name.to_bytes())),
        };
        Err(Error::call(self.call.name, errno(self.value), text, &quoted))
    }

    /// The value; `None` where the call would have had to wait (EAGAIN). That is no failure, and allocates no error.
    pub fn unless_would_block(self) -> Result<Option<usize>> {
        match self.value {
            WOULD_BLOCK => Ok(None),
            _ => self.result().map(Some),
        }
    }

    /// Whether it has failed with `expected`.
    pub fn is(self, expected: Errno) -> bool {
        self.value == -(expected.into_raw() as isize) as usize
    }

    /// What a call that never waits has come to. A failure allocates no error: such calls are made for each event.
    pub fn now(self) -> Now {
        match self.value {
            WOULD_BLOCK => Now::NotYet,
            value if value < ERRORS => Now::Done(value),
            _ => Now::Failed,
        }
    }
}

/// What a call was about, for the message of its failure.
#[derive(Clone, Copy)]
pub enum About<'a> {
    /// Words, which are printed as they are.
    Text(&'a [u8]),
    /// A path, or the name of something else, which is quoted.
    Path(&'a CStr),
    /// A name in the directory of this path, or without a directory if that is empty; quoted as one path.
    In(&'a [u8], &'a CStr),
}
use About::{In, Path, Text};

/// See [`Outcome::now`].
pub enum Now {
    /// It has worked, and returned this.
    Done(usize),
    /// It would have had to wait.
    NotYet,
    /// It has failed.
    Failed,
}

impl Now {
    /// What it has returned.
    pub fn done(self) -> Option<usize> {
        match self {
            Now::Done(value) => Some(value),
            Now::NotYet | Now::Failed => None,
        }
    }
}

/// The errno of a value that is an error.
pub fn errno(value: usize) -> Errno {
    Errno::new((value as i32).wrapping_neg())
}

/// A function that every call is given to instead of the kernel. It makes the call, or does not, and returns the result.
pub type Observer = fn(Attempt) -> usize;

/// A call that an observer is given, and may make.
pub struct Attempt<'a> {
    /// The call.
    pub call: &'static Call,
    registers: &'a [usize; 6],
    make: &'a dyn Fn() -> usize,
}

impl<'a> Attempt<'a> {
    /// Makes it, once.
    pub fn make(&self) -> usize {
        (self.make)()
    }

    /// Its register `at`.
    pub fn register(&self, at: usize) -> usize {
        self.registers.get(at).copied().unwrap_or_default()
    }

    /// Its argument `at`, decoded; `value` is what it has returned, `None` before it is made.
    pub fn argument(&self, at: usize, value: Option<usize>) -> Argument<'a> {
        let register = self.register(at);
        let bytes = |len| {
            // SAFETY: the caller of `enter` has promised that the register is what the call takes, and what it points to lives
            // as long as the call, which `'a` does not outlive; `len` is the length that the kernel has been told, or less
            Argument::Bytes(unsafe { core::slice::from_raw_parts(register as *const u8, len) })
        };
        let Some(show) = self.call.arguments.get(at).filter(|_| register != 0) else {
            return Argument::Number(register);
        };
        match (show, value.filter(|value| *value < ERRORS)) {
            // SAFETY: as above; a NUL ends it
            (Show::String, _) => Argument::Bytes(unsafe { CStr::from_ptr(register as *const c_char) }.to_bytes()),
            (Show::Bytes, _) => bytes(self.register(at + 1)),
            (Show::Groups, _) => bytes(self.register(at.wrapping_sub(1)) * size_of::<u32>()),
            (Show::Filled, Some(value)) => bytes(value.min(self.register(at + 1))),
            (Show::Read(size, _), _) | (Show::Written(size, _), Some(_)) => bytes(*size),
            // SAFETY: as above; a null pointer ends the list
            (Show::Strings | Show::Environment, _) => Argument::Strings(unsafe { &*(register as *const Strings) }),
            _ => Argument::Number(register),
        }
    }
}

static OBSERVER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Where calls went before.
pub(super) struct Before(*mut ());

/// Every call goes to `observer` from here on.
pub(super) fn observe(observer: Observer) -> Before {
    Before(OBSERVER.swap(observer as *mut (), Relaxed))
}

/// Every call goes from here on where calls went before.
pub(super) fn observe_as_before(before: Before) {
    OBSERVER.store(before.0, Relaxed);
}

/// Every call goes to the kernel from here on.
pub(super) fn observe_no_more() {
    OBSERVER.store(core::ptr::null_mut(), Relaxed);
}

/// Enters the kernel, which does not look at registers that the call has no argument in.
///
/// # Safety
/// The registers must hold what the man page of the call asks for, and what they point to must live as long as the call.
unsafe fn enter(call: &'static Call, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> Outcome {
    let registers = [a, b, c, d, e, f];
    let make = || {
        let [a, b, c, d, e, f] = registers;
        // SAFETY: the caller of this function has made the promises that the kernel asks for
        let returned = unsafe { syscalls::syscall6(call.number, a, b, c, d, e, f) };
        returned.unwrap_or_else(|errno| -(errno.into_raw() as isize) as usize)
    };
    // SAFETY: as above
    unsafe { enter_by(call, &registers, &make) }
}

/// Enters the kernel by `make`, or gives the call to the observer. An interrupted call is made again, here or by the trace.
///
/// # Safety
/// As for `enter`.
pub(super) unsafe fn enter_by(call: &'static Call, registers: &[usize; 6], make: &dyn Fn() -> usize) -> Outcome {
    let observer = OBSERVER.load(Relaxed);
    if !observer.is_null() {
        // SAFETY: `observe` has stored this very type, and nothing else is stored but null
        let observer = unsafe { core::mem::transmute::<*mut (), Observer>(observer) };
        return Outcome { call, value: observer(Attempt { call, registers, make }) };
    }
    loop {
        match make() {
            INTERRUPTED => {}
            value => return Outcome { call, value },
        }
    }
}

/// The arguments of one call, together.
pub trait Arguments {
    /// Makes the call.
    ///
    /// # Safety
    /// As for `enter`.
    unsafe fn enter<N: Named>(self) -> Outcome;
}

macro_rules! arguments {
    ($($type:ident $arg:ident),*; $($rest:expr),*) => {
        impl<$($type: Arg),*> Arguments for ($($type,)*) {
            unsafe fn enter<N: Named>(self) -> Outcome {
                let call = const { &Call { number: N::NUMBER, name: N::NAME, arguments: &[$($type::SHOW),*] } };
                let ($($arg,)*) = &self;
                // SAFETY: the caller of this function has made the same promises; `self`, which holds what the registers point
                // to, outlives the call
                unsafe { enter(call, $($arg.reg(),)* $($rest),*) }
            }
        }
    };
}
arguments!(; 0, 0, 0, 0, 0, 0);
arguments!(A a; 0, 0, 0, 0, 0);
arguments!(A a, B b; 0, 0, 0, 0);
arguments!(A a, B b, C c; 0, 0, 0);
arguments!(A a, B b, C c, D d; 0, 0);
arguments!(A a, B b, C c, D d, E e; 0);
arguments!(A a, B b, C c, D d, E e, F f;);

/// `call!(mkdirat(dir, name, mode))`: an [`Outcome`].
macro_rules! call {
    ($name:ident($($arg:expr),* $(,)?)) => {{
        struct This;
        impl $crate::sys::gate::Named for This {
            const NUMBER: syscalls::Sysno = syscalls::Sysno::$name;
            const NAME: &'static str = stringify!($name);
        }
        $crate::sys::gate::Arguments::enter::<This>(($($arg,)*))
    }};
}
pub(super) use call;

/// One argument, decoded.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    /// A register that is shown by its value, or an address whose content is not shown.
    Number(usize),
    /// A string, or the bytes of a buffer or of an object.
    Bytes(&'a [u8]),
    /// A list of strings.
    Strings(&'a Strings),
}

/// A list of strings as execve(2) takes them.
#[repr(transparent)]
pub struct Strings(*const c_char);

impl Strings {
    /// The strings.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut next = core::ptr::from_ref(self).cast::<*const c_char>();
        core::iter::from_fn(move || {
            // SAFETY: `argument` makes this value of an argument of execve(2), and `record` of a copy of one. The caller of that
            // call has promised a null pointer at the end, and before it pointers to strings that a NUL ends and that live as
            // long as the list
            unsafe {
                let string = *next;
                if string.is_null() {
                    return None;
                }
                next = next.add(1);
                Some(CStr::from_ptr(string))
            }
        })
    }
}

impl Show {
    /// Puts a decoded argument as strace(1) shows it.
    pub fn put(&self, argument: &Argument, out: &mut dyn Sink) {
        match (self, argument) {
            (Show::Descriptor, Argument::Number(fd)) if *fd as i32 == libc::AT_FDCWD => out.put(b"AT_FDCWD"),
            (Show::Descriptor | Show::Signed, Argument::Number(n)) => {
                out.put(if (*n as i32) < 0 { b"-" } else { b"" });
                out.put_decimal((*n as i32).unsigned_abs().into());
            }
            (Show::Unsigned, Argument::Number(n)) => out.put_decimal(*n as u64),
            (Show::Octal, Argument::Number(n)) => out.put_octal(*n as u64),
            (Show::Flags(names), Argument::Number(bits)) => names.put(*bits as u64, out),
            (_, Argument::Number(0)) => out.put(b"NULL"),
            (_, Argument::Number(address)) => out.put_hex(*address as u64),
            (Show::Read(_, print) | Show::Written(_, print), Argument::Bytes(bytes)) => print(bytes, out),
            (Show::Groups, Argument::Bytes(groups)) => put_numbers(groups, out),
            (Show::String, Argument::Bytes(string)) => out.put_quoted(&[string]),
            (_, Argument::Bytes(bytes)) => put_bytes(bytes, out),
            (Show::Environment, Argument::Strings(strings)) => {
                out.put_hex(core::ptr::from_ref::<Strings>(strings) as u64);
                out.put(b" /* ");
                out.put_decimal(strings.iter().count() as u64);
                out.put(b" vars */");
            }
            (_, Argument::Strings(strings)) => {
                let mut separator: &[u8] = b"[";
                for string in strings.iter() {
                    out.put(separator);
                    out.put_quoted(&[string.to_bytes()]);
                    separator = b", ";
                }
                out.put(if separator == b"[" { b"[]" } else { b"]" });
            }
        }
    }
}

/// Puts numbers of 32 bits: `[3, 4]`.
pub(super) fn put_numbers(bytes: &[u8], out: &mut dyn Sink) {
    let mut separator: &[u8] = b"[";
    for number in bytes.as_chunks::<4>().0 {
        out.put(separator);
        out.put_decimal(u32::from_ne_bytes(*number).into());
        separator = b", ";
    }
    out.put(b"]");
}

/// The number of 64 bits at the index `at` of a structure of such numbers.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.as_chunks::<8>().0.get(at).map_or(0, |number| u64::from_ne_bytes(*number))
}

/// How many bytes of a buffer are shown, as strace(1) has it.
const SHOWN: usize = 32;

/// Puts the beginning of a buffer.
fn put_bytes(bytes: &[u8], out: &mut dyn Sink) {
    out.put(b"\"");
    for byte in bytes.iter().take(SHOWN) {
        match *byte {
            // A buffer may hold numbers, and its 32nd byte may be in the middle of a character: strace shows octal there.
            0x80.. => out.put(&[b'\\', b'0' + (byte >> 6), b'0' + (byte >> 3 & 7), b'0' + (byte & 7)]),
            byte => out.put_escaped(&[byte]),
        }
    }
    out.put(if bytes.len() > SHOWN { b"\"..." } else { b"\"" });
}
