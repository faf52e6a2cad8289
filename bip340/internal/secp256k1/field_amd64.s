//go:build !purego

#include "textflag.h"

// The instructions MULX, ADCX and ADOX multiply without touching the flags and
// add in two chains of carries, CF and OF, that do not wait for each other. The
// algorithms are those of field_generic.go.

#define FOLD $0x1000003D1

// ROW adds DX·x to t0…t3 and sets t4. It needs CX = 0.
#define ROW(t0, t1, t2, t3, t4) \
	XORQ  t4, t4;          \
	MULXQ 0(SI), AX, BX;   \
	ADCXQ AX, t0;          \
	ADOXQ BX, t1;          \
	MULXQ 8(SI), AX, BX;   \
	ADCXQ AX, t1;          \
	ADOXQ BX, t2;          \
	MULXQ 16(SI), AX, BX;  \
	ADCXQ AX, t2;          \
	ADOXQ BX, t3;          \
	MULXQ 24(SI), AX, BX;  \
	ADCXQ AX, t3;          \
	ADOXQ BX, t4;          \
	ADCXQ CX, t4

// REDUCE folds t4…t7 into t0…t3. It leaves CX = 0 and changes AX, BX and DX.
#define REDUCE(t0, t1, t2, t3, t4, t5, t6, t7) \
	MOVQ  FOLD, DX;     \
	XORQ  CX, CX;       \
	MULXQ t4, AX, BX;   \
	ADCXQ AX, t0;       \
	ADOXQ BX, t1;       \
	MULXQ t5, AX, BX;   \
	ADCXQ AX, t1;       \
	ADOXQ BX, t2;       \
	MULXQ t6, AX, BX;   \
	ADCXQ AX, t2;       \
	ADOXQ BX, t3;       \
	MULXQ t7, AX, BX;   \
	ADCXQ AX, t3;       \
	ADOXQ CX, BX;       \
	ADCXQ CX, BX;       \
	MULXQ BX, AX, BX;   \
	ADDQ  AX, t0;       \
	ADCQ  BX, t1;       \
	ADCQ  $0, t2;       \
	ADCQ  $0, t3;       \
	JCC   3(PC);        \
	ADDQ  DX, t0;       \
	ADCQ  $0, t1

// MULTIPLY sets R8…R11 to the product of the elements at SI and DI.
#define MULTIPLY \
	XORQ  CX, CX;                   \
	MOVQ  0(DI), DX;                \
	MULXQ 0(SI), R8, R9;            \
	MULXQ 8(SI), AX, R10;           \
	ADDQ  AX, R9;                   \
	MULXQ 16(SI), AX, R11;          \
	ADCQ  AX, R10;                  \
	MULXQ 24(SI), AX, R12;          \
	ADCQ  AX, R11;                  \
	ADCQ  $0, R12;                  \
	MOVQ  8(DI), DX;                \
	ROW(R9, R10, R11, R12, R13);    \
	MOVQ  16(DI), DX;               \
	ROW(R10, R11, R12, R13, R14);   \
	MOVQ  24(DI), DX;               \
	ROW(R11, R12, R13, R14, R15);   \
	REDUCE(R8, R9, R10, R11, R12, R13, R14, R15)

// SQUARE squares the number in SI, DI, R8 and R15 and leaves the result in SI,
// R9, R10 and R11. First come the mixed products, once, in R9…R14; then twice
// that and the squares, in SI and R9…R15.
#define SQUARE \
	MOVQ  SI, DX;           \
	MULXQ DI, R9, R10;      \
	MULXQ R8, AX, R11;      \
	ADDQ  AX, R10;          \
	MULXQ R15, AX, R12;     \
	ADCQ  AX, R11;          \
	MOVQ  DI, DX;           \
	MULXQ R15, AX, R13;     \
	ADCQ  AX, R12;          \
	ADCQ  $0, R13;          \
	XORQ  CX, CX;           \
	MULXQ R8, AX, BX;       \
	ADCXQ AX, R11;          \
	ADOXQ BX, R12;          \
	MOVQ  R8, DX;           \
	MULXQ R15, AX, R14;     \
	ADCXQ CX, R12;          \
	ADOXQ AX, R13;          \
	ADCXQ CX, R13;          \
	ADOXQ CX, R14;          \
	ADCXQ CX, R14;          \
	XORQ  CX, CX;           \
	MOVQ  SI, DX;           \
	MULXQ DX, SI, AX;       \
	ADCXQ R9, R9;           \
	ADOXQ AX, R9;           \
	MOVQ  DI, DX;           \
	MULXQ DX, AX, BX;       \
	ADCXQ R10, R10;         \
	ADOXQ AX, R10;          \
	ADCXQ R11, R11;         \
	ADOXQ BX, R11;          \
	MOVQ  R8, DX;           \
	MULXQ DX, AX, BX;       \
	ADCXQ R12, R12;         \
	ADOXQ AX, R12;          \
	ADCXQ R13, R13;         \
	ADOXQ BX, R13;          \
	MOVQ  R15, DX;          \
	MULXQ DX, AX, R15;      \
	ADCXQ R14, R14;         \
	ADOXQ AX, R14;          \
	ADCXQ CX, R15;          \
	ADOXQ CX, R15;          \
	REDUCE(SI, R9, R10, R11, R12, R13, R14, R15)

// STORE writes R8…R11 to base.
#define STORE(off, base) \
	MOVQ R8, (off+0)(base);   \
	MOVQ R9, (off+8)(base);   \
	MOVQ R10, (off+16)(base); \
	MOVQ R11, (off+24)(base)

// LOAD reads R8…R11 from base.
#define LOAD(off, base) \
	MOVQ (off+0)(base), R8;   \
	MOVQ (off+8)(base), R9;   \
	MOVQ (off+16)(base), R10; \
	MOVQ (off+24)(base), R11

// SUBTRACT takes the element at base from R8…R11. It changes AX and DX.
#define SUBTRACT(off, base) \
	MOVQ FOLD, DX;            \
	SUBQ (off+0)(base), R8;   \
	SBBQ (off+8)(base), R9;   \
	SBBQ (off+16)(base), R10; \
	SBBQ (off+24)(base), R11; \
	SBBQ AX, AX;              \
	ANDQ DX, AX;              \
	SUBQ AX, R8;              \
	SBBQ $0, R9;              \
	SBBQ $0, R10;             \
	SBBQ $0, R11;             \
	JCC  2(PC);               \
	SUBQ DX, R8

// func mulADX(z, x, y *Element)
TEXT ·mulADX(SB), NOSPLIT, $0-24
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), DI
	MULTIPLY
	MOVQ z+0(FP), DI
	STORE(0, DI)
	RET

// func squareADX(z, x *Element, n int)
//
// It squares n times, n above zero.
TEXT ·squareADX(SB), NOSPLIT, $0-24
	MOVQ x+8(FP), AX
	MOVQ 0(AX), SI
	MOVQ 8(AX), DI
	MOVQ 16(AX), R8
	MOVQ 24(AX), R15

again:
	SQUARE
	MOVQ R9, DI
	MOVQ R10, R8
	MOVQ R11, R15
	DECQ n+16(FP)
	JNZ  again

	MOVQ z+0(FP), AX
	MOVQ SI, 0(AX)
	MOVQ DI, 8(AX)
	MOVQ R8, 16(AX)
	MOVQ R15, 24(AX)
	RET

// func addADX(p, q *Affine, product, denom, before *Element)
//
// It is the loop of adder.round for points that differ: the slope is at 0(SP),
// and 32(SP) holds the inverse of the denominator first and p.X - x later.
TEXT ·addADX(SB), NOSPLIT, $64-40
	// The inverse, and the product for the next point.
	MOVQ product+16(FP), SI
	MOVQ before+32(FP), DI
	MULTIPLY
	STORE(32, SP)
	MOVQ product+16(FP), SI
	MOVQ denom+24(FP), DI
	MULTIPLY
	MOVQ product+16(FP), SI
	STORE(0, SI)

	// The slope, (q.Y - p.Y)/(q.X - p.X).
	MOVQ p+0(FP), SI
	MOVQ q+8(FP), DI
	LOAD(32, DI)
	SUBTRACT(32, SI)
	STORE(0, SP)
	LEAQ 0(SP), SI
	LEAQ 32(SP), DI
	MULTIPLY
	STORE(0, SP)

	// x = slope² - p.X - q.X.
	MOVQ R8, SI
	MOVQ R9, DI
	MOVQ R10, R8
	MOVQ R11, R15
	SQUARE
	MOVQ SI, R8
	MOVQ p+0(FP), SI
	MOVQ q+8(FP), DI
	SUBTRACT(0, SI)
	SUBTRACT(0, DI)

	// p.X and x change places, so that p.X - x can be made.
	MOVQ R8, R12
	MOVQ R9, R13
	MOVQ R10, R14
	MOVQ R11, R15
	LOAD(0, SI)
	MOVQ R12, 0(SI)
	MOVQ R13, 8(SI)
	MOVQ R14, 16(SI)
	MOVQ R15, 24(SI)
	SUBTRACT(0, SI)
	STORE(32, SP)

	// y = slope·(p.X - x) - p.Y.
	LEAQ 0(SP), SI
	LEAQ 32(SP), DI
	MULTIPLY
	MOVQ p+0(FP), SI
	SUBTRACT(32, SI)
	STORE(32, SI)
	RET
