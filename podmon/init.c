/* SPDX-License-Identifier: Apache-2.0 */
/* The first process of a pod's pid namespace, a program of its own: it keeps the namespace, reaps
 * what the containers orphan, and ends by SIGKILL alone: with it end all containers, and "systemctl
 * stop" sends SIGTERM to every process of the scope at once. Without a C library it is 10 KiB of
 * memory per pod. podmon carries it inside and executes it from a sealed memfd. */
#include <asm/unistd.h>

enum {
    SET_BYTES = 8, /* of the kernel's sigset_t */
    WAIT_ANY = -1,
    WAIT_NO_HANG = 1,
    SET_BLOCKED = 0, /* SIG_BLOCK */
};

static long call(long number, long first, long second, long third, long fourth)
{
#if defined(__x86_64__)
    register long r10 __asm__("r10") = fourth;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(first), "S"(second), "d"(third), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = first;
    register long x1 __asm__("x1") = second;
    register long x2 __asm__("x2") = third;
    register long x3 __asm__("x3") = fourth;

    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
#else
#error "the system call of this architecture is to be written here"
#endif
}

_Noreturn void _start(void);

/* Blocked signals wait to be taken, also those that the first process of a namespace would not get
 * otherwise: SIGCHLD is what it waits for, and every other one means as little. */
_Noreturn void _start(void)
{
    unsigned long long all = ~0ULL;

    call(__NR_rt_sigprocmask, SET_BLOCKED, (long)&all, 0, SET_BYTES);
    for (;;) {
        call(__NR_rt_sigtimedwait, (long)&all, 0, 0, SET_BYTES);
        while (call(__NR_wait4, WAIT_ANY, 0, WAIT_NO_HANG, 0) > 0)
            ;
    }
}
