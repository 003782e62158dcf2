# A firmware of 64 KiB that shows that an accelerator really runs a guest: from the reset vector through protected mode
# into long mode, then one write to the isa-debug-exit device, upon which QEMU exits with (0x31 << 1) | 1 = 99.
# Its page tables are laid in RAM, since a processor may want to write accessed bits into them.

        .set    EXIT_PORT, 0xf4
        .set    PML4, 0x1000
        .set    PDPT, 0x2000
        .set    PD, 0x3000

        .text
        .globl  _start
_start:
        .code16
real_mode:
        cli
        lgdtl   %cs:(gdt_pointer - _start)
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $protected_mode

        .code32
protected_mode:
        movl    $0x18, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss

        # One 2 MiB page: the last one below 4 GiB, where this code is.
        movl    $PDPT + 3, PML4
        movl    $PD + 3, PDPT + 3 * 8
        movl    $0xffe00083, PD + 511 * 8

        movl    %cr4, %eax
        orl     $0x20, %eax
        movl    %eax, %cr4
        movl    $PML4, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x10, $long_mode

        .code64
long_mode:
        movb    $0x31, %al
        outb    %al, $EXIT_PORT
stay:
        hlt
        jmp     stay

        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9a000000ffff      # 0x08: code, 32-bit
        .quad   0x00af9a000000ffff      # 0x10: code, 64-bit
        .quad   0x00cf92000000ffff      # 0x18: data
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt

        .org    0xfff0
        .code16
        jmp     real_mode
        .org    0x10000
