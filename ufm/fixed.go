package ufm

var fixedQuestions []Question
