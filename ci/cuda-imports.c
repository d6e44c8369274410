/* Import library for one CUDA library, linked into the program in its place.
 *
 * Each function is a jump through a slot. A slot starts at a resolver that opens
 * the real library by name (dlopen), finds the function and stores it; later
 * calls cost one indirect jump. Nothing of CUDA is in the program's list of
 * needed libraries, so it starts on a machine without a driver, and there every
 * call returns the library's own "not initialised" code.
 *
 * Compiled once for each library by ci/cuda-imports with
 *   LIBRARY  a name for this file's symbols       FILES  candidate file names
 *   ABSENT   status returned when it is missing   SYMBOLS  header of IMPORT(name)
 */
#include <dlfcn.h>
#include <string.h>

#define PASTE2(a, b) a##b
#define PASTE(a, b) PASTE2(a, b)
#define TEXT2(a) #a
#define TEXT(a) TEXT2(a)
#define RESOLVE PASTE(biorule_resolve_, LIBRARY)
#define ENTER "biorule_enter_" TEXT(LIBRARY)

/* What stands behind one function: where to jump, and its name. */
struct slot {
    void *target;
    const char *name;
};

static int absent(void) { return ABSENT; }
static const char *absent_text(void) { return "library not found (`biorule doctor` says which)"; }

static void *library(void) {
    static const char *const files[] = {FILES};
    static void *handle;
    void *found = __atomic_load_n(&handle, __ATOMIC_ACQUIRE);
    for (unsigned i = 0; !found && i < sizeof files / sizeof *files; i++)
        found = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    __atomic_store_n(&handle, found, __ATOMIC_RELEASE);
    return found;
}

/* A failure is not stored: the program may open the library from a folder of
 * its own (BIORULE_CUDA_PATH) after the first try. */
__attribute__((visibility("hidden"), used)) void *RESOLVE(struct slot *slot) {
    void *handle = library();
    void *function = handle ? dlsym(handle, slot->name) : 0;
    if (function) {
        __atomic_store_n(&slot->target, function, __ATOMIC_RELEASE);
        return function;
    }
    /* Functions that return text, which callers read without asking. */
    int text = strncmp(slot->name, "cu", 2) != 0 || strncmp(slot->name, "cublas", 6) == 0;
    text = text && (strstr(slot->name, "ErrorString") || strstr(slot->name, "GetStatus"));
    return text ? (void *)absent_text : (void *)absent;
}

#if defined(__x86_64__)
/* Keeps every argument register around the call of the resolver. */
__asm__(".text\n"
        ".type " ENTER ",@function\n" ENTER ":\n"
        "  push %rbp\n  mov %rsp,%rbp\n"
        "  push %rdi\n  push %rsi\n  push %rdx\n  push %rcx\n"
        "  push %r8\n  push %r9\n  push %rax\n  push %r11\n"
        "  sub $128,%rsp\n"
        "  movups %xmm0,(%rsp)\n  movups %xmm1,16(%rsp)\n"
        "  movups %xmm2,32(%rsp)\n  movups %xmm3,48(%rsp)\n"
        "  movups %xmm4,64(%rsp)\n  movups %xmm5,80(%rsp)\n"
        "  movups %xmm6,96(%rsp)\n  movups %xmm7,112(%rsp)\n"
        "  mov %r11,%rdi\n"
        "  call biorule_resolve_" TEXT(LIBRARY) "\n"
        "  mov %rax,%r11\n"
        "  movups (%rsp),%xmm0\n  movups 16(%rsp),%xmm1\n"
        "  movups 32(%rsp),%xmm2\n  movups 48(%rsp),%xmm3\n"
        "  movups 64(%rsp),%xmm4\n  movups 80(%rsp),%xmm5\n"
        "  movups 96(%rsp),%xmm6\n  movups 112(%rsp),%xmm7\n"
        "  add $136,%rsp\n"
        "  pop %rax\n  pop %r9\n  pop %r8\n"
        "  pop %rcx\n  pop %rdx\n  pop %rsi\n  pop %rdi\n  pop %rbp\n"
        "  jmp *%r11\n");
#define IMPORT(name)                                                     \
    __asm__(".text\n.globl " #name "\n.hidden " #name "\n"               \
            ".type " #name ",@function\n" #name ":\n"                    \
            "  jmp *.Lslot_" #name "(%rip)\n"                            \
            ".Lfirst_" #name ":\n"                                       \
            "  lea .Lslot_" #name "(%rip),%r11\n"                        \
            "  jmp " ENTER "\n"                                          \
            ".data\n.p2align 4\n"                                        \
            ".Lslot_" #name ": .quad .Lfirst_" #name ", .Lname_" #name "\n" \
            ".section .rodata\n.Lname_" #name ": .asciz \"" #name "\"\n.text\n");
#elif defined(__aarch64__)
__asm__(".text\n"
        ".type " ENTER ",%function\n" ENTER ":\n"
        "  stp x29,x30,[sp,#-224]!\n  mov x29,sp\n"
        "  stp x0,x1,[sp,#16]\n  stp x2,x3,[sp,#32]\n"
        "  stp x4,x5,[sp,#48]\n  stp x6,x7,[sp,#64]\n"
        "  stp q0,q1,[sp,#96]\n  stp q2,q3,[sp,#128]\n"
        "  stp q4,q5,[sp,#160]\n  stp q6,q7,[sp,#192]\n"
        "  str x8,[sp,#80]\n"
        "  mov x0,x16\n"
        "  bl biorule_resolve_" TEXT(LIBRARY) "\n"
        "  mov x16,x0\n"
        "  ldr x8,[sp,#80]\n"
        "  ldp q6,q7,[sp,#192]\n  ldp q4,q5,[sp,#160]\n"
        "  ldp q2,q3,[sp,#128]\n  ldp q0,q1,[sp,#96]\n"
        "  ldp x6,x7,[sp,#64]\n  ldp x4,x5,[sp,#48]\n"
        "  ldp x2,x3,[sp,#32]\n  ldp x0,x1,[sp,#16]\n"
        "  ldp x29,x30,[sp],#224\n"
        "  br x16\n");
#define IMPORT(name)                                                     \
    __asm__(".text\n.globl " #name "\n.hidden " #name "\n"               \
            ".type " #name ",%function\n" #name ":\n"                    \
            "  adrp x16,.Lslot_" #name "\n"                              \
            "  add x16,x16,:lo12:.Lslot_" #name "\n"                     \
            "  ldr x17,[x16]\n  br x17\n"                                \
            ".Lfirst_" #name ":\n  b " ENTER "\n"                        \
            ".data\n.p2align 4\n"                                        \
            ".Lslot_" #name ": .quad .Lfirst_" #name ", .Lname_" #name "\n" \
            ".section .rodata\n.Lname_" #name ": .asciz \"" #name "\"\n.text\n");
#else
#error "no import stubs for this processor: set CUDA_HOME to a CUDA 13 toolkit instead"
#endif

#include SYMBOLS
