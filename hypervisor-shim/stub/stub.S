# The stub that QEMU starts in place of a kernel (docs/protocol.md, "Handoff page").
#
# It follows a bzImage's own real-mode setup sectors, so firmware and setup code build boot_params and the command
# line as usual and enter here: 32-bit protected mode, flat segments, paging and interrupts off, esi = boot_params.
# It tells the hook that it is there, waits for the doorbell, and enters the kernel that the hook has laid in RAM.
#
# Nothing here uses a stack. Registers: ebx = handoff page, esi = boot_params, all the others are scratch.

        .set    VERSION, 1

        # The stub's half of the handoff page.
        .set    STUB_MAGIC, 0           # "VOLLEYST"
        .set    STUB_VERSION, 8
        .set    STUB_STATE, 12
        .set    STUB_BOOT_PARAMS, 16

        # The hook's half.
        .set    ORDER_MAGIC, 64         # "VOLLEYHO"
        .set    ORDER_VERSION, 72
        .set    ORDER_ENTRY, 80         # u64
        .set    ORDER_PAGE_TABLES, 88   # u64, below 4 GiB
        .set    ORDER_INITRD, 96        # u64
        .set    ORDER_INITRD_BYTES, 104 # u64
        .set    DOORBELL, 128           # "VOLLEYGO" or "VOLLEYNO"

        .set    STATE_WAITING, 1
        .set    STATE_STARTED, 2
        .set    STATE_ABORTED, 3
        .set    STATE_REFUSED, 4

        .set    TEXT_VOLL, 0x4c4c4f56   # four letters as a little-endian word
        .set    TEXT_EYST, 0x54535945
        .set    TEXT_EYHO, 0x4f485945
        .set    TEXT_EYGO, 0x4f475945
        .set    TEXT_EYNO, 0x4f4e5945

        # Fields of boot_params (Documentation/arch/x86/boot.rst).
        .set    BP_EXT_RAMDISK_IMAGE, 0x0c0
        .set    BP_EXT_RAMDISK_SIZE, 0x0c4
        .set    BP_RAMDISK_IMAGE, 0x218
        .set    BP_RAMDISK_SIZE, 0x21c

        .text
        .code32
        .globl  _start
_start:
        cli
        cld
        movl    $handoff, %ebx

        # An order that was there before the acknowledgement is none: the hook writes only after it.
        leal    ORDER_MAGIC(%ebx), %edi
        movl    $(DOORBELL + 8 - ORDER_MAGIC) / 4, %ecx
        xorl    %eax, %eax
        rep stosl

        movl    %esi, STUB_BOOT_PARAMS(%ebx)
        movl    $VERSION, STUB_VERSION(%ebx)
        movl    $TEXT_VOLL, STUB_MAGIC(%ebx)
        movl    $TEXT_EYST, STUB_MAGIC + 4(%ebx)
        movl    $STATE_WAITING, STUB_STATE(%ebx)

wait:
        pause
        cmpl    $TEXT_VOLL, DOORBELL(%ebx)
        jne     wait
        movl    DOORBELL + 4(%ebx), %eax
        cmpl    $TEXT_EYNO, %eax
        je      abort
        cmpl    $TEXT_EYGO, %eax
        jne     wait

        # The doorbell is written last, so what it announces is complete, or it was not the hook that rang.
        cmpl    $TEXT_VOLL, ORDER_MAGIC(%ebx)
        jne     refuse
        cmpl    $TEXT_EYHO, ORDER_MAGIC + 4(%ebx)
        jne     refuse
        cmpl    $VERSION, ORDER_VERSION(%ebx)
        jne     refuse
        movl    ORDER_ENTRY(%ebx), %eax
        orl     ORDER_ENTRY + 4(%ebx), %eax
        jz      refuse
        cmpl    $0, ORDER_PAGE_TABLES + 4(%ebx)
        jne     refuse
        movl    ORDER_PAGE_TABLES(%ebx), %edx
        testl   %edx, %edx
        jz      refuse
        testl   $0xfff, %edx
        jnz     refuse

        movl    ORDER_INITRD(%ebx), %eax
        movl    %eax, BP_RAMDISK_IMAGE(%esi)
        movl    ORDER_INITRD + 4(%ebx), %eax
        movl    %eax, BP_EXT_RAMDISK_IMAGE(%esi)
        movl    ORDER_INITRD_BYTES(%ebx), %eax
        movl    %eax, BP_RAMDISK_SIZE(%esi)
        movl    ORDER_INITRD_BYTES + 4(%ebx), %eax
        movl    %eax, BP_EXT_RAMDISK_SIZE(%esi)

        movl    $STATE_STARTED, STUB_STATE(%ebx)

        # Long mode: PAE, page tables, EFER.LME, paging, then a code segment with the L bit.
        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    %edx, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orl     $0x80000001, %eax
        movl    %eax, %cr0
        ljmpl   $0x10, $long_mode

refuse:
        movl    $0, DOORBELL(%ebx)
        movl    $0, DOORBELL + 4(%ebx)
        movl    $STATE_REFUSED, STUB_STATE(%ebx)
        jmp     wait

        # Nothing handles an interrupt here, so this is a triple fault: the machine resets, and QEMU, told not to
        # reboot, ends.
abort:
        movl    $STATE_ABORTED, STUB_STATE(%ebx)
        lidtl   no_interrupts
        int3
        jmp     abort

        # The 64-bit boot protocol wants selectors 0x10 (code) and 0x18 (data), rsi = boot_params, interrupts off.
        .code64
long_mode:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        movl    %eax, %fs
        movl    %eax, %gs
        movl    %esi, %esi              # clears the upper half
        movl    %ebx, %ebx
        jmp     *ORDER_ENTRY(%rbx)

        .balign 8
gdt:
        .quad   0
        .quad   0
        .quad   0x00af9a000000ffff      # 0x10: code, 64-bit
        .quad   0x00cf92000000ffff      # 0x18: data
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
no_interrupts:
        .word   0
        .long   0

        # QEMU puts its own setup_data right behind the file: the handoff page and the six pages of page tables are
        # part of it, so that nothing else lies there.
        .balign 4096
handoff:
        .fill   4096 * 7, 1, 0
