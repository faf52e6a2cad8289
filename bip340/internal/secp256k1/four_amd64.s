//go:build !purego

#include "textflag.h"

// Four numbers stand side by side: a register holds the same limb, of 26 bits, of
// each. See field_four.go.

#define A0 Y6
#define A1 Y7
#define A2 Y8
#define A3 Y9
#define A4 Y10
#define A5 Y11
#define A6 Y12
#define A7 Y13
#define A8 Y14
#define A9 Y15

#define MASK Y5

DATA mask26<>+0(SB)/8, $0x3FFFFFF
GLOBL mask26<>(SB), RODATA|NOPTR, $8

// 2^260 = fold·2^4 = 2^36 + 0x3D10, so limb 10 counts 0x3D10 times in limb 0 and
// 2^10 times in limb 1. Both together are 0xF44000 and 2^20.
DATA low260<>+0(SB)/8, $0x3D10
DATA low260<>+8(SB)/8, $0x3D10
DATA low260<>+16(SB)/8, $0x3D10
DATA low260<>+24(SB)/8, $0x3D10
GLOBL low260<>(SB), RODATA|NOPTR, $32
DATA both260<>+0(SB)/8, $0xF44000
DATA both260<>+8(SB)/8, $0xF44000
DATA both260<>+16(SB)/8, $0xF44000
DATA both260<>+24(SB)/8, $0xF44000
GLOBL both260<>(SB), RODATA|NOPTR, $32

// A column of the square, in Y0: FIRST and PLUS add products, TWICE doubles those
// so far, KEEP puts it aside.
#define FIRST(a, b) VPMULUDQ a, b, Y0
#define PLUS(a, b) VPMULUDQ a, b, Y1; VPADDQ Y1, Y0, Y0
#define TWICE VPADDQ Y0, Y0, Y0
#define KEEP(k) VMOVDQU Y0, (32*k)(SP)

// HIGH makes a limb below 2^30, in Y2, of column k, above the ninth, and of what
// the one before carries, in Y4. TOP makes the last, of the carry alone.
#define HIGH(k) \
	VMOVDQU (32*k)(SP), Y2; \
	VPSRLQ  $26, Y2, Y3;    \
	VPAND   MASK, Y2, Y2;   \
	VPADDQ  Y4, Y2, Y2;     \
	VMOVDQU Y3, Y4
#define TOP VMOVDQU Y4, Y2

// LOW folds the limb in Y2 into column j, and the one before it, in Y1.
#define LOW(j, a) \
	VPSLLQ   $10, Y1, Y0;             \
	VPMULUDQ low260<>(SB), Y2, Y3;    \
	VPADDQ   (32*j)(SP), Y0, a;       \
	VPADDQ   Y3, a, a;                \
	VMOVDQU  Y2, Y1

// MOVE keeps 26 bits of a limb and adds what the one below has above them. CARRY
// does it with all, and folds what the last one has.
#define MOVE(below, a) \
	VPAND  MASK, a, a;      \
	VPSRLQ $26, below, Y1;  \
	VPADDQ Y1, a, a
#define CARRY \
	VPSRLQ $26, A9, Y0; \
	MOVE(A8, A9); \
	MOVE(A7, A8); \
	MOVE(A6, A7); \
	MOVE(A5, A6); \
	MOVE(A4, A5); \
	MOVE(A3, A4); \
	MOVE(A2, A3); \
	MOVE(A1, A2); \
	MOVE(A0, A1); \
	VPAND    MASK, A0, A0;          \
	VPMULUDQ low260<>(SB), Y0, Y1;  \
	VPADDQ   Y1, A0, A0;            \
	VPSLLQ   $10, Y0, Y1;           \
	VPADDQ   Y1, A1, A1

// REDUCE turns the columns into limbs.
#define REDUCE \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y4, Y4, Y4; \
	HIGH(10); LOW(0, A0); \
	HIGH(11); LOW(1, A1); \
	HIGH(12); LOW(2, A2); \
	HIGH(13); LOW(3, A3); \
	HIGH(14); LOW(4, A4); \
	HIGH(15); LOW(5, A5); \
	HIGH(16); LOW(6, A6); \
	HIGH(17); LOW(7, A7); \
	HIGH(18); LOW(8, A8); \
	TOP;      LOW(9, A9); \
	VPMULUDQ both260<>(SB), Y1, Y2; \
	VPADDQ   Y2, A0, A0; \
	VPSLLQ   $20, Y1, Y2; \
	VPADDQ   Y2, A1, A1; \
	CARRY; \
	CARRY

// LOAD reads the limbs at DI.
#define LOAD \
	VMOVDQU 0(DI), A0; \
	VMOVDQU 32(DI), A1; \
	VMOVDQU 64(DI), A2; \
	VMOVDQU 96(DI), A3; \
	VMOVDQU 128(DI), A4; \
	VMOVDQU 160(DI), A5; \
	VMOVDQU 192(DI), A6; \
	VMOVDQU 224(DI), A7; \
	VMOVDQU 256(DI), A8; \
	VMOVDQU 288(DI), A9

// STORE writes the limbs to DI.
#define STORE \
	VMOVDQU A0, 0(DI); \
	VMOVDQU A1, 32(DI); \
	VMOVDQU A2, 64(DI); \
	VMOVDQU A3, 96(DI); \
	VMOVDQU A4, 128(DI); \
	VMOVDQU A5, 160(DI); \
	VMOVDQU A6, 192(DI); \
	VMOVDQU A7, 224(DI); \
	VMOVDQU A8, 256(DI); \
	VMOVDQU A9, 288(DI)

// func squareFour(z, x *lanes, n int)
//
// It squares n times, n above zero.
TEXT ·squareFour(SB), 0, $608-24
	MOVQ x+8(FP), DI
	MOVQ n+16(FP), CX
	VPBROADCASTQ mask26<>(SB), MASK
	LOAD

again:
	FIRST(A0, A0); KEEP(0)
	FIRST(A0, A1); TWICE; KEEP(1)
	FIRST(A0, A2); TWICE; PLUS(A1, A1); KEEP(2)
	FIRST(A0, A3); PLUS(A1, A2); TWICE; KEEP(3)
	FIRST(A0, A4); PLUS(A1, A3); TWICE; PLUS(A2, A2); KEEP(4)
	FIRST(A0, A5); PLUS(A1, A4); PLUS(A2, A3); TWICE; KEEP(5)
	FIRST(A0, A6); PLUS(A1, A5); PLUS(A2, A4); TWICE; PLUS(A3, A3); KEEP(6)
	FIRST(A0, A7); PLUS(A1, A6); PLUS(A2, A5); PLUS(A3, A4); TWICE; KEEP(7)
	FIRST(A0, A8); PLUS(A1, A7); PLUS(A2, A6); PLUS(A3, A5); TWICE; PLUS(A4, A4); KEEP(8)
	FIRST(A0, A9); PLUS(A1, A8); PLUS(A2, A7); PLUS(A3, A6); PLUS(A4, A5); TWICE; KEEP(9)
	FIRST(A1, A9); PLUS(A2, A8); PLUS(A3, A7); PLUS(A4, A6); TWICE; PLUS(A5, A5); KEEP(10)
	FIRST(A2, A9); PLUS(A3, A8); PLUS(A4, A7); PLUS(A5, A6); TWICE; KEEP(11)
	FIRST(A3, A9); PLUS(A4, A8); PLUS(A5, A7); TWICE; PLUS(A6, A6); KEEP(12)
	FIRST(A4, A9); PLUS(A5, A8); PLUS(A6, A7); TWICE; KEEP(13)
	FIRST(A5, A9); PLUS(A6, A8); TWICE; PLUS(A7, A7); KEEP(14)
	FIRST(A6, A9); PLUS(A7, A8); TWICE; KEEP(15)
	FIRST(A7, A9); TWICE; PLUS(A8, A8); KEEP(16)
	FIRST(A8, A9); TWICE; KEEP(17)
	FIRST(A9, A9); KEEP(18)

	REDUCE
	DECQ CX
	JNZ  again

	MOVQ z+0(FP), DI
	STORE
	VZEROUPPER
	RET

// B is a limb of the second factor.
#define B(j) (32*j)(SI)

// func mulFour(z, x, y *lanes)
TEXT ·mulFour(SB), 0, $608-24
	MOVQ x+8(FP), DI
	MOVQ y+16(FP), SI
	VPBROADCASTQ mask26<>(SB), MASK
	LOAD
	FIRST(B(0), A0); KEEP(0)
	FIRST(B(1), A0); PLUS(B(0), A1); KEEP(1)
	FIRST(B(2), A0); PLUS(B(1), A1); PLUS(B(0), A2); KEEP(2)
	FIRST(B(3), A0); PLUS(B(2), A1); PLUS(B(1), A2); PLUS(B(0), A3); KEEP(3)
	FIRST(B(4), A0); PLUS(B(3), A1); PLUS(B(2), A2); PLUS(B(1), A3); PLUS(B(0), A4); KEEP(4)
	FIRST(B(5), A0); PLUS(B(4), A1); PLUS(B(3), A2); PLUS(B(2), A3); PLUS(B(1), A4); PLUS(B(0), A5); KEEP(5)
	FIRST(B(6), A0); PLUS(B(5), A1); PLUS(B(4), A2); PLUS(B(3), A3); PLUS(B(2), A4); PLUS(B(1), A5); PLUS(B(0), A6); KEEP(6)
	FIRST(B(7), A0); PLUS(B(6), A1); PLUS(B(5), A2); PLUS(B(4), A3); PLUS(B(3), A4); PLUS(B(2), A5); PLUS(B(1), A6); PLUS(B(0), A7); KEEP(7)
	FIRST(B(8), A0); PLUS(B(7), A1); PLUS(B(6), A2); PLUS(B(5), A3); PLUS(B(4), A4); PLUS(B(3), A5); PLUS(B(2), A6); PLUS(B(1), A7); PLUS(B(0), A8); KEEP(8)
	FIRST(B(9), A0); PLUS(B(8), A1); PLUS(B(7), A2); PLUS(B(6), A3); PLUS(B(5), A4); PLUS(B(4), A5); PLUS(B(3), A6); PLUS(B(2), A7); PLUS(B(1), A8); PLUS(B(0), A9); KEEP(9)
	FIRST(B(9), A1); PLUS(B(8), A2); PLUS(B(7), A3); PLUS(B(6), A4); PLUS(B(5), A5); PLUS(B(4), A6); PLUS(B(3), A7); PLUS(B(2), A8); PLUS(B(1), A9); KEEP(10)
	FIRST(B(9), A2); PLUS(B(8), A3); PLUS(B(7), A4); PLUS(B(6), A5); PLUS(B(5), A6); PLUS(B(4), A7); PLUS(B(3), A8); PLUS(B(2), A9); KEEP(11)
	FIRST(B(9), A3); PLUS(B(8), A4); PLUS(B(7), A5); PLUS(B(6), A6); PLUS(B(5), A7); PLUS(B(4), A8); PLUS(B(3), A9); KEEP(12)
	FIRST(B(9), A4); PLUS(B(8), A5); PLUS(B(7), A6); PLUS(B(6), A7); PLUS(B(5), A8); PLUS(B(4), A9); KEEP(13)
	FIRST(B(9), A5); PLUS(B(8), A6); PLUS(B(7), A7); PLUS(B(6), A8); PLUS(B(5), A9); KEEP(14)
	FIRST(B(9), A6); PLUS(B(8), A7); PLUS(B(7), A8); PLUS(B(6), A9); KEEP(15)
	FIRST(B(9), A7); PLUS(B(8), A8); PLUS(B(7), A9); KEEP(16)
	FIRST(B(9), A8); PLUS(B(8), A9); KEEP(17)
	FIRST(B(9), A9); KEEP(18)

	REDUCE
	MOVQ z+0(FP), DI
	STORE
	VZEROUPPER
	RET
